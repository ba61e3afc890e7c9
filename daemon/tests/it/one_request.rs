//! Simultaneous requests of many clients cost the remote one request.

use std::time::Duration;

use docks_proto::client::Limits;
use docks_proto::freshness::CachePolicy;
use docks_proto::routes::RunKind;
use futures_util::future::join_all;

use crate::upstream_support::{Question, Site};
use docksd_testkit::fake_remote::RemoteData;

const CLIENTS: usize = 50;

async fn site() -> Site {
    let mut site = Site::new(RemoteData::sample(5, 3), None, Limits::default())
        .await
        .without_backfill();
    // Long enough that all fifty requests are sent before the first response.
    site.remote
        .configure(|behaviour| behaviour.latency = Duration::from_millis(400));
    site.start(None).await;
    site
}

async fn all_clients_ask(site: &Site, question: &Question) {
    let requests = (0..CLIENTS).map(|_| site.ask(question, CachePolicy::Default));
    for outcome in join_all(requests).await {
        assert_eq!(outcome.exit(), 0, "{question:?}: {outcome:?}");
    }
}

fn requests(site: &Site, path: &str) -> usize {
    let log = site.remote.log();
    let matching = log.iter().filter(|seen| {
        let (target, _) = seen.target.split_once('?').unwrap_or((&seen.target, ""));
        target.strip_prefix("/tenants/ten") == Some(path)
    });
    matching.count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_clients_reading_what_is_not_mirrored_cost_one_request_and_then_none() {
    let mut site = site().await;
    let questions = site.remote.with_data(|data| Question::six(data));
    for question in &questions {
        let path = match question {
            Question::Run(RunKind::Run, id) => format!("/runs/{id}"),
            Question::Run(RunKind::Evaluation, id) => format!("/harbor/runs/{id}"),
            Question::Trials(run) => format!("/harbor/runs/{run}/trials"),
            _ => continue,
        };
        all_clients_ask(&site, question).await;
        let cold = requests(&site, &path);
        // The lists are fetched at the start and may already contain the run.
        let most_known = usize::from(!matches!(question, Question::Trials(_)));
        assert!((1 - most_known..=1).contains(&cold), "{path}: {cold}");
        all_clients_ask(&site, question).await;
        assert!(requests(&site, &path) <= cold + 1, "{path}");
    }
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_clients_reading_a_list_at_startup_share_the_daemons_own_request() {
    let alone = {
        let mut site = site().await;
        site.catches_up().await;
        let alone = requests(&site, "/runs");
        site.stop().await;
        alone
    };
    let mut site = site().await;
    all_clients_ask(&site, &Question::List(RunKind::Run)).await;
    all_clients_ask(&site, &Question::List(RunKind::Run)).await;
    site.catches_up().await;
    let read = requests(&site, "/runs");
    assert!(read <= alone, "{read} with readers, {alone} without");
    site.stop().await;
}
