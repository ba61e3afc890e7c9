//! Fields of any type: no command panics over one, and each says something about the object.

use serde_json::{Value, json};

use crate::remote::Remote;
use crate::test_home::TestHome;

/// What stands in the place of a field.
fn odd_values() -> Vec<Value> {
    let deep = (0..200).fold(json!(1), |inner, _| json!([inner]));
    let number = json!(u64::MAX);
    vec![json!({}), json!([]), json!([{}]), number, json!("x"), deep]
}

/// An evaluation run, and a trial, with every field that is read.
fn objects() -> [Value; 2] {
    let corpus = |name: &str| {
        let path = format!("{}/tests/corpus/objects/{name}", env!("CARGO_MANIFEST_DIR"));
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    };
    [corpus("run.json"), corpus("trial.json")]
}

/// Returns where in an object values are, the outer ones first.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(members) => members.iter().map(|(key, v)| (key.clone(), v)).collect(),
        Value::Array(items) => {
            let items = items.iter().enumerate().take(1);
            items.map(|(index, v)| (index.to_string(), v)).collect()
        }
        _ => return,
    };
    for (key, child) in children {
        let place = format!("{at}/{key}");
        found.push(place.clone());
        places(child, &place, found);
    }
}

/// Returns the object with another value at each place but its id, and without each.
fn changed(object: &Value) -> Vec<Value> {
    let mut all = Vec::new();
    let mut found = Vec::new();
    places(object, "", &mut found);
    for place in found.iter().filter(|place| *place != "/id") {
        for (at, odd) in odd_values().into_iter().enumerate() {
            // Each kind of value in the places that contain others, where a wrong type costs most.
            let is_branch = object
                .pointer(place)
                .is_some_and(|v| v.is_object() || v.is_array());
            if is_branch || at % 3 == 0 {
                let mut changed = object.clone();
                *changed.pointer_mut(place).unwrap() = odd;
                all.push(changed);
            }
        }
    }
    // What a run of another kind of remote lacks.
    let mut empty = object.clone();
    empty.as_object_mut().unwrap().retain(|key, _| key == "id");
    empty["harbor"] = json!({});
    all.push(empty);
    all
}

#[test]
fn a_field_of_any_type_ends_no_command() {
    let [run, trial] = objects();
    let (runs, trials) = (changed(&run), changed(&trial));
    let counts = (runs.len(), trials.len());
    let with_id = |object: &Value, index: usize| {
        let mut object = object.clone();
        object["id"] = format!("case-{index}").into();
        object
    };
    let number = |all: &[Value]| -> Vec<Value> {
        let all = all.iter().enumerate();
        all.map(|(index, object)| with_id(object, index)).collect()
    };
    let (runs, trials) = (number(&runs), number(&trials));
    let remote = Remote::start(move |request| {
        let path = request.split([' ', '?']).nth(1).unwrap();
        let path = path.trim_start_matches("/tenants/ten/");
        let find = |all: &[Value], id: &str| match id.strip_prefix("case-") {
            Some(index) => (200, all[index.parse::<usize>().unwrap()].to_string()),
            None => (200, json!({"id": id, "status": "completed"}).to_string()),
        };
        match path
            .trim_start_matches("harbor/")
            .split('/')
            .collect::<Vec<_>>()[..]
        {
            ["runs"] => (200, Value::from(runs.clone()).to_string()),
            ["runs", id] => find(&runs, id),
            ["runs", _, "trials"] => (200, Value::from(trials.clone()).to_string()),
            ["runs", _, "trials", id] => find(&trials, id),
            _ => (404, r#"{"detail":"Not Found"}"#.to_owned()),
        }
    });
    let home = TestHome::with_remote(&remote);
    let check = |line: &str| {
        let result = home.run(line);
        assert!(
            !result.stderr.contains("panicked"),
            "{line}: {}",
            result.stderr
        );
        assert!(!result.stdout.is_empty(), "{line}: {}", result.stderr);
        result
    };
    for index in 0..counts.0 {
        check(&format!("runs eval-get case-{index} --no-daemon")).expect_success();
    }
    for index in 0..counts.1 {
        check(&format!("runs trial whole case-{index} --no-daemon")).expect_success();
    }
    // The last ones have an empty `harbor`.
    let (run, trial) = (counts.0 - 1, counts.1 - 1);
    for way in ["--no-daemon", "--fresh", "--offline"] {
        for list in ["runs list", "runs eval-list", "runs trials whole"] {
            check(&format!("{list} -n 0 {way}")).expect_success();
        }
        for get in ["runs get", "runs eval-get"] {
            check(&format!("{get} case-{run} {way}")).expect_success();
        }
        check(&format!("runs trial whole case-{trial} {way}")).expect_success();
    }
}
