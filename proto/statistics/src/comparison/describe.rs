//! A difference in words.

use docks_proto::comparison::{CompareQuery, Delta, MetricName, Side, Verdict};

/// Says in one sentence what may be said of a side and the first one.
pub(super) fn sentence(delta: &Delta, sides: &[Side], query: &CompareQuery) -> String {
    let (first, other) = (label(&sides[0]), label(&sides[delta.side - 1]));
    let (Some(value), tasks) = (delta.value, delta.n_tasks) else {
        return no_common_task(delta, &first, &other, &query.metric);
    };
    let amount = |value: f64| amount(value, &query.metric);
    let interval = delta
        .low
        .zip(delta.high)
        .map_or_else(String::new, |(low, high)| {
            format!(" (95 % interval {} to {})", amount(low), amount(high))
        });
    let unit = unit(&query.metric);
    let found = format!("{} {}{unit}{interval}", query.metric.name(), amount(value));
    let over = match (tasks, delta.n_repeated) {
        (1, None) => "over 1 task".to_owned(),
        (tasks, None) => format!("over {tasks} tasks"),
        (1, Some(_)) => "on this 1 task".to_owned(),
        (tasks, Some(_)) => format!("on these {tasks} tasks"),
    };
    let repeated = match delta.n_repeated {
        Some(repeated) if repeated < tasks => {
            format!(" ({repeated} of them more than once)")
        }
        _ => String::new(),
    };
    let p = delta.p_adjusted.unwrap_or(1.0);
    let corrected = if sides.len() > 2 {
        ", corrected for several comparisons"
    } else {
        ""
    };
    let tested = format!(
        "{over} that both tried{repeated}, p = {}{corrected}",
        probability(p)
    );
    let head = match delta.verdict {
        Verdict::Better => format!("{other} is better than {first}"),
        Verdict::Worse => format!("{other} is worse than {first}"),
        Verdict::NoDifference => format!("no difference shown between {first} and {other}"),
        Verdict::Unclear => format!("too little data to tell {other} from {first}"),
    };
    let shown = match (delta.verdict, delta.detectable) {
        (Verdict::Unclear, Some(detectable)) => format!(
            "; the smallest difference that such data show is {}{unit}",
            size(detectable, &query.metric)
        ),
        (Verdict::Unclear, None) if delta.n_repeated == Some(0) => {
            "; it takes two attempts at a task to see how much they vary".to_owned()
        }
        _ => String::new(),
    };
    format!("{head}: {found}, {tested}{shown}")
}

fn no_common_task(delta: &Delta, first: &str, other: &str, metric: &MetricName) -> String {
    match (delta.only_first, delta.only_other) {
        (0, 0) => format!(
            "nothing to compare: {} is known of no task yet",
            metric.name()
        ),
        _ => format!(
            "{first} and {other} have no task in common of which {} is known",
            metric.name()
        ),
    }
}

fn label(side: &Side) -> String {
    match &side.remote {
        Some(remote) => format!("{remote}:{}", side.name),
        None => side.name.clone(),
    }
}

/// Points, of what is a share.
fn unit(metric: &MetricName) -> &'static str {
    match metric {
        MetricName::Solved | MetricName::SolvedOfValid => " points",
        _ => "",
    }
}

/// A difference with its sign, or a factor.
pub(crate) fn amount(value: f64, metric: &MetricName) -> String {
    match metric {
        MetricName::Solved | MetricName::SolvedOfValid => format!("{:+.1}", 100.0 * value),
        metric if metric.is_spent() => format!("×{value:.2}"),
        _ => format!("{value:+.3}"),
    }
}

fn size(value: f64, metric: &MetricName) -> String {
    amount(value, metric).trim_start_matches('+').to_owned()
}

fn probability(p: f64) -> String {
    if p < 0.001 {
        return "less than 0.001".to_owned();
    }
    format!("{p:.3}")
}
