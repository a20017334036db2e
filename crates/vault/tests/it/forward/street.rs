//! A real proxy in front of a small page, with the very files of docs/examples/forward-auth. What is
//! replaced in them is what docs/forward-authentication.md says.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;

use strongroom_testkit::Proxy;

use crate::forward::gate::{Answer, ask_over};

const NGINX: &str = include_str!("../../../../../docs/examples/forward-auth/nginx.conf");
const CADDY: &str = include_str!("../../../../../docs/examples/forward-auth/Caddyfile");
const NGINX_GLASS: &str =
    include_str!("../../../../../docs/examples/forward-auth/break-glass.nginx.conf");
const CADDY_GLASS: &str =
    include_str!("../../../../../docs/examples/forward-auth/break-glass.Caddyfile");

/// What `caddy hash-password` makes of `for that day`.
const HASH: &str = "$2a$14$mTaVuAJ54x53d/f9aO3L5.j4HDFCYXGC0BVjM1xIry0aZWajZUdSm";

/// Which proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    Nginx,
    Caddy,
}

/// A page that shows what it was asked, until the process ends; returns its port.
fn page() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || show(stream));
        }
    });
    port
}

fn show(mut stream: TcpStream) {
    let (mut asked, mut buffer) = (Vec::new(), [0; 1024]);
    while !asked.windows(4).any(|four| four == b"\r\n\r\n") {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return,
            Ok(bytes) => asked.extend_from_slice(&buffer[..bytes]),
        }
    }
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n",
        asked.len()
    );
    let _ = stream.write_all(head.as_bytes());
    let _ = stream.write_all(&asked);
}

/// The example in front of a page, as `app.localhost` and its port.
pub(super) fn protected(which: Which, vault: u16) -> Proxy {
    let at = |text: String| {
        text.replace(
            "https://vault.internal.example:8000",
            &format!("http://127.0.0.1:{vault}"),
        )
        .replace("127.0.0.1:3000", &format!("127.0.0.1:{}", page()))
    };
    match which {
        Which::Nginx => {
            let is_kept = |line: &&str| {
                let line = line.trim_start();
                !line.starts_with("ssl_") && !line.starts_with("proxy_ssl_")
            };
            let lines: Vec<_> = NGINX.lines().filter(is_kept).collect();
            let text = lines
                .join("\n")
                .replace("listen 443 ssl;", "listen 127.0.0.1:PORT;")
                .replace(
                    "server_name grafana.internal.example;",
                    "server_name app.localhost;",
                )
                .replace("grafana.internal.example", "app.localhost:PORT");
            Proxy::nginx(&at(text))
        }
        Which::Caddy => {
            let site = "http://app.localhost:PORT {\n\tbind 127.0.0.1";
            let text = CADDY.replace("\ngrafana.internal.example {", &format!("\n{site}"));
            Proxy::caddy(&at(text))
        }
    }
}

/// The second door, for the day when the vault is down.
pub(super) fn glass(which: Which) -> Proxy {
    let page = format!("127.0.0.1:{}", page());
    match which {
        Which::Nginx => {
            let is_kept = |line: &&str| !line.trim_start().starts_with("access_log");
            let lines: Vec<_> = NGINX_GLASS.lines().filter(is_kept).collect();
            let text = lines
                .join("\n")
                .replace("127.0.0.1:8444", "127.0.0.1:PORT")
                .replace("/etc/nginx/break-glass.htpasswd", "FOLDER/htpasswd")
                .replace("127.0.0.1:3000", &page);
            Proxy::nginx_with(&text, |folder| {
                let line = "break-glass:{PLAIN}for that day\n";
                std::fs::write(folder.join("htpasswd"), line).unwrap();
            })
        }
        Which::Caddy => Proxy::caddy(
            &CADDY_GLASS
                .replace("http://:8444", "http://:PORT")
                .replace("{$BREAK_GLASS_HASH}", HASH)
                .replace("127.0.0.1:3000", &page),
        ),
    }
}

/// Asks the protected host through its proxy.
pub(super) fn ask(proxy: &Proxy, line: &str, headers: &[(&str, &str)]) -> Answer {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).unwrap();
    ask_over(stream, line, &host(proxy), headers)
}

/// What the protected host is called.
pub(super) fn host(proxy: &Proxy) -> String {
    format!("app.localhost:{}", proxy.port())
}
