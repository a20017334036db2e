//! Pages of a vault with very much in it.

use crate::console::office::{Office, PATIENCE};

/// How many repositories there are, each with a thousand objects.
const REPOSITORIES: u32 = 1_000;

/// How often each page is asked for.
const TIMES: usize = 11;

/// The longest median, in milliseconds: of a build that is not optimised, on a machine that does much
/// else. A page that read all there is would take seconds.
const LONGEST_MS: f64 = 200.0;

/// Repositories with objects, tombstones, snapshots, receipts and the hours of a month.
fn fill(office: &Office) {
    let numbers = |most: u32| {
        format!(
            "WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < {most})"
        )
    };
    let (one, all) = (numbers(REPOSITORIES), numbers(REPOSITORIES * 1_000));
    let hours = numbers(REPOSITORIES * 744);
    let now_ms = office.scene.vault.now().vault_ms;
    let hour = now_ms / 3_600_000;
    for statement in [
        format!(
            "INSERT INTO repository (id, path, config, retention_ms, grace_ms, objects, bytes, \
             tombstone_day, tombstones, arrived_at_ms, agreed_retention_ms, agreed_grace_ms) {one} \
             SELECT n, printf('r%04d', n), zeroblob(32), 86400000, 86400000, 1000, 1000000, 0, 0, \
             {now_ms}, 86400000, 86400000 FROM number"
        ),
        format!(
            "INSERT INTO object (repository, kind, name, generation, bytes, state, token, began, put, \
             ended, tombstone, tombstoned_ms, ended_by, arrived_ms) {all} \
             SELECT 1 + n / 1000, CASE WHEN n % 1000 < 100 THEN 4 ELSE 2 END, randomblob(32), 1, \
             1000, n % 1000 / 900, 1, n, n, CASE WHEN n % 1000 >= 900 THEN n + 1 END, \
             CASE WHEN n % 1000 >= 900 THEN n + 1 END, CASE WHEN n % 1000 >= 900 THEN {now_ms} END, \
             1, {now_ms} FROM number WHERE n < {REPOSITORIES} * 1000"
        ),
        format!(
            "INSERT INTO lineage (id, repository, client, source, receipts) {one} \
             SELECT n, n, randomblob(32), 'repos', 1 FROM number"
        ),
        format!(
            "INSERT INTO receipt (repository, id, lineage, position, snapshot, host, time, config, \
             token, arrived_ms, held, bytes) {one} \
             SELECT n, randomblob(32), n, 0, (SELECT name FROM object WHERE repository = n \
             AND kind = 4 LIMIT 1), 'web1', '2026-11-23T04:00:00Z', zeroblob(32), 1, {now_ms}, 1, 100 \
             FROM number"
        ),
        format!(
            "INSERT INTO repository_hour (repository, hour, objects, bytes, tombstones, \
             tombstone_bytes) {hours} SELECT 1 + (n - 1) / 744, {hour} - n % 744, n % 744, n, 1, 10 \
             FROM number"
        ),
    ] {
        office.scene.execute(&statement);
    }
}

#[test]
fn pages_are_quick_with_a_thousand_repositories_and_a_million_objects() {
    let office = Office::open();
    let anna = office.first("anna");
    fill(&office);
    office.publisher.publish().unwrap();
    let browser = &anna.browser;
    let took = "const [page] = performance.getEntriesByType('navigation'); \
                return page.responseEnd - page.requestStart";
    for (path, told) in [
        ("/-/", "r0024"),
        ("/-/?after=r0500", "r0524"),
        ("/-/repositories/r0500", "Older deletions"),
        ("/-/tokens", "A new token"),
        ("/-/alerts", "What is wrong now"),
        ("/-/log", "Newest leaves"),
        ("/-/operations", "Nothing was asked for so far"),
    ] {
        let mut times: Vec<f64> = (0..TIMES)
            .map(|_| {
                browser.goto(&office.url(path));
                browser.execute(took).as_f64().unwrap()
            })
            .collect();
        browser.wait_for_text(told, PATIENCE);
        times.sort_by(f64::total_cmp);
        let median = times[TIMES / 2];
        println!("{path}: {median:.1} ms, at most {:.1} ms", times[TIMES - 1]);
        assert!(median < LONGEST_MS, "{path} took {median} ms");
    }
}
