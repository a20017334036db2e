//! By what right a bucket is asked where the configuration names no account: by what the environment,
//! the files of Amazon's programs, a program, a token or the machine itself gives.
//!
//! The bucket is one of a real Ceph, which takes the right credentials and no others; only who hands
//! them out at Amazon is played here. Variables are set for the programs that are run, and never here.

use std::fs;

use serde_json::{Value, json};
use strongroom_testkit::programs::restic_versions;
use strongroom_testkit::{Bucket, Ceph, CephAccount};

use crate::drill_restore::Rehearsals;
use crate::fake_vault::{Answer, Server};
use crate::scene::{Ended, Scene, write_noise};

/// When what is handed out ends.
const END: &str = "2099-01-01T00:00:00Z";

type Variables<'a> = [(&'a str, &'a str)];

/// Says that a machine is none of Amazon's.
const ELSEWHERE: (&str, &str) = ("AWS_EC2_METADATA_DISABLED", "true");

/// Runs the program in an environment of these variables, on a machine that is none of Amazon's
/// unless they say so.
fn run(scene: &Scene, variables: &Variables<'_>, arguments: &[&str]) -> Ended {
    let mut command = scene.command(arguments);
    command.envs([ELSEWHERE]);
    command.envs(variables.iter().copied());
    command.output().unwrap().into()
}

/// Asserts that the bucket is asked by right, and that nobody tells a secret.
#[track_caller]
fn assert_admitted(scene: &Scene, account: &CephAccount, variables: &Variables<'_>) {
    let ended = run(scene, variables, &["-vvv", "snapshots"]);
    ended.assert_code(0, &"snapshots");
    assert_no_secret(&ended, account);
}

/// Asserts the same, and that a rehearsed restore lends it to stock restic, which looks for no account
/// by itself where ours comes from.
#[track_caller]
fn assert_lent(scene: &Scene, account: &CephAccount, variables: &Variables<'_>) {
    assert_admitted(scene, account, variables);
    let offsite = Rehearsals {
        scene,
        copy: "offsite",
        secrets: &[&account.secret_key],
        variables: &[&[ELSEWHERE][..], variables].concat(),
    };
    offsite.assert_come_back(&restic_versions().pop().unwrap());
}

/// Asserts that nothing is told of the bucket but its name, this reason and what to do next, and
/// that nobody tells a secret.
#[track_caller]
fn assert_refused(scene: &Scene, account: &CephAccount, variables: &Variables<'_>, reason: &str) {
    let ended = run(scene, variables, &["-vvv", "snapshots"]);
    ended.assert_code(3, &"snapshots");
    ended.assert_says(&["offsite is left out", reason]);
    ended.assert_says(&["hint: Check the credentials"]);
    assert_no_secret(&ended, account);
}

#[track_caller]
fn assert_no_secret(ended: &Ended, account: &CephAccount) {
    let of_users = USERS.map(secret_of);
    let secrets = of_users.iter().chain([&account.secret_key]);
    for secret in secrets.map(String::as_str).chain([SESSION]) {
        for text in [&ended.out, &ended.err] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
    }
}

/// The token that makes what is handed out end.
const SESSION: &str = "a-session";

/// Where nobody has any.
const NONE: &str = "there are no credentials for it";

/// One cluster for all: it takes seconds to start.
#[test]
fn the_account_of_a_bucket_comes_from_wherever_amazons_programs_have_it() {
    let ceph = Ceph::start();
    let account = ceph.new_account("owner");
    Bucket::new(&ceph, &account, "plain").create();
    let scene = Scene::new();
    write_noise(&scene.source().join("noise"), 1, 100_000);
    let one = ("one", scene.path("one").display().to_string());
    scene.configure("", std::slice::from_ref(&one));
    scene.begin();
    let offsite = ("offsite", format!("s3:{}/plain/acme", ceph.endpoint()));
    scene.configure("", &[one, offsite]);

    let environment = [
        ("AWS_ACCESS_KEY_ID", account.access_key.as_str()),
        ("AWS_SECRET_ACCESS_KEY", account.secret_key.as_str()),
    ];
    for command in ["init", "sync"] {
        run(&scene, &environment, &["--quiet", command]).assert_code(0, &command);
    }
    assert_refused(&scene, &account, &[], NONE);
    assert_lent(&scene, &account, &environment);
    a_profile_has_it(&scene, &account, &environment);
    a_program_gives_it(&scene, &account);
    it_is_given_for_a_login(&scene, &account);
    it_is_given_for_a_web_identity(&scene, &account);
    it_is_given_for_a_role(&scene, &account);
    the_machine_has_it(&scene, &account);
}

fn a_profile_has_it(scene: &Scene, account: &CephAccount, environment: &Variables<'_>) {
    let section = |name: &str, secret: &str| {
        let key = &account.access_key;
        format!("[{name}]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n")
    };
    let file = scene.path("credentials");
    let sections = section("backup", &account.secret_key) + &section("wrong", "wrong");
    fs::write(&file, sections).unwrap();
    let at = ("AWS_SHARED_CREDENTIALS_FILE", file.to_str().unwrap());
    let (right, wrong) = (("AWS_PROFILE", "backup"), ("AWS_PROFILE", "wrong"));
    assert_lent(scene, account, &[at, right]);
    assert_refused(scene, account, &[at, wrong], "SignatureDoesNotMatch");
    // The environment comes first.
    assert_admitted(scene, account, &[environment, &[at, wrong]].concat());

    let folder = scene.path(".aws");
    fs::create_dir(&folder).unwrap();
    let section = section("default", &account.secret_key);
    fs::write(folder.join("credentials"), section).unwrap();
    assert_admitted(scene, account, &[]);
    fs::remove_dir_all(folder).unwrap();
}

/// What is handed out, as Amazon's programs write it; `token` is what the part of it is called that
/// makes it end.
fn handed_out(account: &CephAccount, token: &str) -> Value {
    json!({
        "Version": 1,
        "Code": "Success",
        "Type": "AWS-HMAC",
        "LastUpdated": "2026-01-01T00:00:00Z",
        "AccessKeyId": account.access_key,
        "SecretAccessKey": account.secret_key,
        token: SESSION,
        "Expiration": END,
    })
}

fn a_program_gives_it(scene: &Scene, account: &CephAccount) {
    let (answer, file) = (scene.path("answer.json"), scene.path("config"));
    fs::write(&answer, handed_out(account, "SessionToken").to_string()).unwrap();
    let config = format!(
        "[profile program]\ncredential_process = cat {}\n\n\
         [profile broken]\ncredential_process = false\n",
        answer.display()
    );
    fs::write(&file, config).unwrap();
    let at = ("AWS_CONFIG_FILE", file.to_str().unwrap());
    assert_lent(scene, account, &[at, ("AWS_PROFILE", "program")]);
    assert_refused(scene, account, &[at, ("AWS_PROFILE", "broken")], NONE);
}

/// Where people log in, and the SHA-1 of it, by which the login is known.
const PORTAL: &str = "https://acme.awsapps.com/start";
const PORTAL_SHA1: &str = "40169cea58ca6cbf23fb27b2542923fb5f524af0";

/// Who gives credentials to whoever has logged in.
fn portal(account: &CephAccount) -> Server {
    let told = json!({"roleCredentials": {
        "accessKeyId": account.access_key,
        "secretAccessKey": account.secret_key,
        "sessionToken": SESSION,
        "expiration": 4_070_908_800_000_u64,
    }});
    Server::start(move |asked| {
        let query = asked.path.strip_prefix("/federation/credentials?");
        let fields: Vec<_> = query.unwrap_or_default().split('&').collect();
        let role = ["role_name=backup", "account_id=123456789012"];
        if !role.iter().all(|field| fields.contains(field)) {
            return Answer::text(404, "");
        }
        match asked.header("x-amz-sso_bearer_token") {
            Some("a-login") => Answer::json(200, &told),
            _ => Answer::text(401, ""),
        }
    })
}

fn it_is_given_for_a_login(scene: &Scene, account: &CephAccount) {
    let server = portal(account);
    let endpoint = format!("http://{}", server.address());
    let (file, cache) = (scene.path("signed-in"), scene.path(".aws/sso/cache"));
    let config = format!(
        "[profile signed-in]\nsso_start_url = {PORTAL}\nsso_region = us-east-1\n\
         sso_account_id = 123456789012\nsso_role_name = backup\n"
    );
    fs::write(&file, config).unwrap();
    let variables = [
        ("AWS_CONFIG_FILE", file.to_str().unwrap()),
        ("AWS_PROFILE", "signed-in"),
        ("AWS_ENDPOINT_URL_SSO", endpoint.as_str()),
    ];
    assert_refused(scene, account, &variables, NONE);
    fs::create_dir_all(&cache).unwrap();
    let log_in = |token: &str| {
        let login = json!({"accessToken": token, "expiresAt": END, "startUrl": PORTAL});
        let file = cache.join(format!("{PORTAL_SHA1}.json"));
        fs::write(file, login.to_string()).unwrap();
    };
    log_in("a-login");
    assert_lent(scene, account, &variables);
    log_in("another");
    assert_refused(scene, account, &variables, NONE);
}

/// What Amazon's token service gives to whoever has a right to this action.
fn given(account: &CephAccount, action: &str, end: &str) -> Answer {
    let told = format!(
        "<{action}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
         <{action}Result><Credentials>\
         <AccessKeyId>{}</AccessKeyId><SecretAccessKey>{}</SecretAccessKey>\
         <SessionToken>{SESSION}</SessionToken><Expiration>{end}</Expiration>\
         </Credentials></{action}Result>\
         <ResponseMetadata><RequestId>one</RequestId></ResponseMetadata>\
         </{action}Response>",
        account.access_key, account.secret_key
    );
    Answer {
        content_type: "text/xml",
        ..Answer::text(200, &told)
    }
}

/// Who gives credentials to whoever has the right token of a web identity.
fn token_service(account: &CephAccount) -> Server {
    let account = account.clone();
    Server::start(move |asked| {
        let form = String::from_utf8_lossy(&asked.body).into_owned();
        let mut fields = [
            "Action=AssumeRoleWithWebIdentity",
            "WebIdentityToken=a-web-identity",
        ]
        .into_iter();
        match fields.all(|field| form.split('&').any(|one| one == field)) {
            true => given(&account, "AssumeRoleWithWebIdentity", END),
            false => Answer::text(403, ""),
        }
    })
}

fn it_is_given_for_a_web_identity(scene: &Scene, account: &CephAccount) {
    let server = token_service(account);
    let endpoint = format!("http://{}", server.address());
    let file = scene.path("web-identity");
    let variables = [
        ("AWS_WEB_IDENTITY_TOKEN_FILE", file.to_str().unwrap()),
        ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/backup"),
        ("AWS_ENDPOINT_URL_STS", endpoint.as_str()),
    ];
    fs::write(&file, "a-web-identity").unwrap();
    assert_lent(scene, account, &variables);
    fs::write(&file, "another").unwrap();
    assert_refused(scene, account, &variables, NONE);
}

/// A role, of which others have keys that let them take it and do nothing else.
const ROLE: &str = "arn:aws:iam::123456789012:role/backup";

/// Who has such keys; only the first one may take the role.
const USERS: [&str; 2] = ["member", "stranger"];

fn secret_of(user: &str) -> String {
    format!("{user}-secret")
}

/// How Amazon's token service refuses.
const REFUSAL: &str = "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
                       <Error><Type>Sender</Type><Code>AccessDenied</Code>\
                       <Message>not authorized to perform: sts:AssumeRole</Message></Error>\
                       <RequestId>one</RequestId></ErrorResponse>";

/// Who gives credentials for the role to the member that names the right id with it; to one that
/// names another id he gives them with an end that is no time.
fn role_service(account: &CephAccount) -> Server {
    let account = account.clone();
    Server::start(move |asked| {
        let form = String::from_utf8_lossy(&asked.body).into_owned();
        let says = |field: &str| form.split('&').any(|one| one == field);
        let signed = asked.header("authorization").unwrap_or_default();
        let role = format!("RoleArn={}", ROLE.replace(':', "%3A").replace('/', "%2F"));
        let may_take_it = says("Action=AssumeRole") && says(&role);
        let is_member = signed.contains(&format!("Credential={}-key/", USERS[0]));
        match (may_take_it && is_member, says("ExternalId=acme")) {
            (true, true) => given(&account, "AssumeRole", END),
            (true, false) if says("ExternalId=garbled") => given(&account, "AssumeRole", "soon"),
            _ => Answer {
                content_type: "text/xml",
                ..Answer::text(403, REFUSAL)
            },
        }
    })
}

fn it_is_given_for_a_role(scene: &Scene, account: &CephAccount) {
    let server = role_service(account);
    let endpoint = format!("http://{}", server.address());
    let file = scene.path("roles");
    let keys = USERS.map(|user| {
        let secret = secret_of(user);
        format!(
            "[profile {user}]\naws_access_key_id = {user}-key\naws_secret_access_key = {secret}\n"
        )
    });
    let role = |name: &str, source: &str| {
        format!("[profile {name}]\nrole_arn = {ROLE}\nsource_profile = {source}\n")
    };
    let roles = [
        role("right", "member\nexternal_id = acme"),
        role("without-id", "member"),
        role("wrong-keys", "stranger\nexternal_id = acme"),
        role("without-keys", "nobody\nexternal_id = acme"),
        role("garbled", "member\nexternal_id = garbled"),
    ];
    fs::write(&file, keys.concat() + &roles.concat()).unwrap();
    let at = ("AWS_CONFIG_FILE", file.to_str().unwrap());
    let service = ("AWS_ENDPOINT_URL_STS", endpoint.as_str());
    let with = |profile| [at, service, ("AWS_PROFILE", profile)];
    assert_lent(scene, account, &with("right"));
    let denied = format!("{NONE}: AccessDenied");
    for profile in ["without-id", "wrong-keys"] {
        assert_refused(scene, account, &with(profile), &denied);
    }
    // The answer that nobody can read has the secret in it.
    for profile in ["without-keys", "garbled"] {
        assert_refused(scene, account, &with(profile), NONE);
    }
    // Who may take the role may not do what it may.
    assert_refused(scene, account, &with(USERS[0]), "InvalidAccessKeyId");
}

/// The metadata of a machine that has a role, for whoever takes a token first.
fn metadata(account: &CephAccount) -> Server {
    const ROLES: &str = "/latest/meta-data/iam/security-credentials";
    const TTL: &str = "x-aws-ec2-metadata-token-ttl-seconds";
    let document = handed_out(account, "Token");
    Server::start(move |asked| {
        let path = asked.path.trim_end_matches('/');
        if (asked.method.as_str(), path) == ("PUT", "/latest/api/token") {
            return Answer {
                headers: vec![(TTL, "21600".to_owned())],
                ..Answer::text(200, "a-token")
            };
        }
        if asked.header("x-aws-ec2-metadata-token") != Some("a-token") {
            return Answer::text(401, "");
        }
        match path.strip_prefix(ROLES) {
            Some("") => Answer::text(200, "backup"),
            Some("/backup") => Answer::json(200, &document),
            _ => Answer::text(404, ""),
        }
    })
}

fn the_machine_has_it(scene: &Scene, account: &CephAccount) {
    let server = metadata(account);
    let endpoint = format!("http://{}", server.address());
    let at = ("AWS_EC2_METADATA_SERVICE_ENDPOINT", endpoint.as_str());
    let is_one = ("AWS_EC2_METADATA_DISABLED", "false");
    assert_lent(scene, account, &[at, is_one]);
    assert_refused(scene, account, &[at], NONE);
}
