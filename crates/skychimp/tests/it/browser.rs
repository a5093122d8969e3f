//! A visitor of a running site who keeps cookies and sends forms.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

/// What the site answered.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Where it leads to.
    pub location: String,
    /// The page.
    pub body: String,
}

/// A client of the site, with cookies and CSRF tokens.
pub struct Browser {
    address: String,
    cookies: BTreeMap<String, String>,
    token: String,
}

impl Browser {
    /// Logs in on the site at this address.
    pub fn login(url: &str, email: &str, password: &str) -> Self {
        let mut browser = Self {
            address: url.strip_prefix("http://").unwrap().to_owned(),
            cookies: BTreeMap::new(),
            token: String::new(),
        };
        browser.get("/login");
        let form = [("email", email), ("password", password)];
        let answer = browser.post("/login", &form);
        assert_eq!(answer.status, 303, "{}", answer.body);
        browser.get("/recipients/import");
        browser
    }

    /// The same visitor on a site that was started again.
    pub fn at(mut self, url: &str) -> Self {
        url.strip_prefix("http://")
            .unwrap()
            .clone_into(&mut self.address);
        self
    }

    /// A page.
    pub fn get(&mut self, path: &str) -> Answer {
        self.send("GET", path, "", b"")
    }

    /// A form, with the token of the page before.
    pub fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("csrf", &self.token);
        form.extend_pairs(fields);
        let form = form.finish();
        self.send(
            "POST",
            path,
            "application/x-www-form-urlencoded",
            form.as_bytes(),
        )
    }

    /// Uploads a file of recipients; returns the address of its import.
    pub fn upload(&mut self, text: &str) -> String {
        let path = format!("/recipients/import/file?csrf={}", self.token);
        let body = format!(
            "--x\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.csv\"\r\n\r\n{text}\r\n--x--\r\n"
        );
        let answer = self.send(
            "POST",
            &path,
            "multipart/form-data; boundary=x",
            body.as_bytes(),
        );
        assert_eq!(answer.status, 303, "{}", answer.body);
        answer.location
    }

    fn send(&mut self, method: &str, path: &str, kind: &str, body: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_mins(1)))
            .unwrap();
        let cookies: Vec<_> = self
            .cookies
            .iter()
            .map(|(k, v)| format!("{k}={v}"))
            .collect();
        let head = format!(
            "{method} {path} HTTP/1.0\r\nHost: {}\r\nCookie: {}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
            self.address,
            cookies.join("; "),
            body.len(),
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let header = |name: &'static str| {
            let lines = head.lines().filter_map(|line| line.split_once(": "));
            lines.filter_map(move |(n, value)| n.eq_ignore_ascii_case(name).then_some(value))
        };
        for cookie in header("set-cookie") {
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        if let Some((_, rest)) = body.split_once("name=\"csrf\" value=\"") {
            rest.split('"').next().unwrap().clone_into(&mut self.token);
        }
        Answer {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            location: header("location").next().unwrap_or_default().to_owned(),
            body: body.to_owned(),
        }
    }
}
