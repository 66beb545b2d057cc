//! The HTTP server of `mount --metrics`: one page, for GET and HEAD, from a thread of its own.
//!
//! Invariant: clients are answered one behind the other, none keeps the thread for longer than
//! `EXCHANGE_LIMIT`, and none makes it hold more than `MAX_REQUEST_BYTES`. Knows nothing of what the
//! page tells.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use httparse::{EMPTY_HEADER, Status};

use crate::error::{Error, Result};
use crate::os::start_thread;

/// What is served, and nothing else is.
const PATH: &str = "/metrics";
/// From the connection to the last byte of the answer. Scrapers are near, and give up after 10 s:
/// several that say nothing must not take that from one that asks.
const EXCHANGE_LIMIT: Duration = Duration::from_secs(1);
/// The request line and all headers. What servers commonly take.
const MAX_REQUEST_BYTES: usize = 8 << 10;
/// What servers commonly take at least.
const MAX_HEADERS: usize = 64;
/// A system that has no descriptor left has none at once either.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(100);

/// Makes the page.
type Page = Box<dyn Fn() -> String + Send>;

/// Where to listen: `ADDR:PORT`, or a port of this machine alone as `PORT` or `:PORT`.
pub(crate) fn parse_address(text: &str) -> std::result::Result<SocketAddr, String> {
    let port = text.strip_prefix(':').unwrap_or(text);
    let local = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
    port.parse()
        .map(local)
        .or_else(|_| text.parse())
        .map_err(|_| {
            format!("'{text}' is neither an IP address with a port, as 127.0.0.1:9200, nor a port")
        })
}

/// A server that listens, and answers once it is told what.
pub(crate) struct MetricsServer {
    url: String,
    listener: Arc<TcpListener>,
    closing: Arc<AtomicBool>,
    tell: Sender<Page>,
}

impl MetricsServer {
    /// Listens; whoever connects waits until `answer` is called.
    ///
    /// # Errors
    /// `Environment` if somebody else listens there, `Io` if the system refuses.
    pub(crate) fn listen(address: SocketAddr, content_type: &'static str) -> Result<Self> {
        let cannot = |error: io::Error| match error.kind() {
            io::ErrorKind::AddrInUse => Error::Environment(format!(
                "cannot listen on {address}: address in use; each mount needs a port of its own \
                 (0: any that is free)"
            )),
            _ => Error::io(format!("cannot listen on {address}"), error),
        };
        let listener = Arc::new(TcpListener::bind(address).map_err(cannot)?);
        let url = format!("http://{}{PATH}", listener.local_addr().map_err(cannot)?);
        let closing = Arc::new(AtomicBool::new(false));
        let (tell, told) = channel::<Page>();
        let (clients, closed) = (Arc::clone(&listener), Arc::clone(&closing));
        start_thread("metrics", move || {
            if let Ok(page) = told.recv() {
                serve(&clients, &closed, content_type, &page);
            }
        })?;
        Ok(Self {
            url,
            listener,
            closing,
            tell,
        })
    }

    /// Where the page is.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Answers from now on, with what `page` returns.
    pub(crate) fn answer(&self, page: impl Fn() -> String + Send + 'static) {
        // The thread waits for it, or has ended and needs none.
        let _ = self.tell.send(Box::new(page));
    }

    /// Frees the port, once whoever is being answered is.
    pub(crate) fn close(self) {
        self.closing.store(true, Ordering::Release);
        // Ends `accept`; if not, the port stays taken for as long as the process lives.
        let _ = rustix::net::shutdown(&self.listener, rustix::net::Shutdown::Both);
    }
}

/// Answers everybody, until it is told to close.
fn serve(listener: &TcpListener, closing: &AtomicBool, content_type: &str, page: &Page) {
    loop {
        let client = listener.accept();
        if closing.load(Ordering::Acquire) {
            return;
        }
        match client {
            Ok((stream, client)) => {
                let exchange = Exchange {
                    stream,
                    deadline: Instant::now() + EXCHANGE_LIMIT,
                };
                if let Err(error) = exchange.run(content_type, page) {
                    tracing::debug!("metrics: {client}: {error}");
                }
            }
            Err(error) => {
                tracing::debug!("metrics: {error}");
                std::thread::sleep(PAUSE_AFTER_FAILURE);
            }
        }
    }
}

const OK: &str = "200 OK";
const BAD_REQUEST: &str = "400 Bad Request";
const NOT_FOUND: &str = "404 Not Found";
const NOT_ALLOWED: &str = "405 Method Not Allowed";
const TOO_LARGE: &str = "431 Request Header Fields Too Large";

/// How a request is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Verdict {
    status: &'static str,
    /// Only headers are asked for.
    head: bool,
}

/// How to answer a request of which this came so far; `None` if there is more to wait for.
fn judge(request: &[u8]) -> Option<Verdict> {
    let mut headers = [EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Request::new(&mut headers);
    let complete = parsed.parse(request);
    let head = parsed.method == Some("HEAD");
    let status = match complete {
        Ok(Status::Partial) if request.len() < MAX_REQUEST_BYTES => return None,
        Ok(Status::Partial) | Err(httparse::Error::TooManyHeaders) => TOO_LARGE,
        Err(_) => BAD_REQUEST,
        Ok(Status::Complete(_)) => {
            let target = parsed.path.unwrap_or_default();
            let path = target.split_once('?').map_or(target, |(path, _)| path);
            match parsed.method {
                _ if path != PATH => NOT_FOUND,
                Some("GET" | "HEAD") => OK,
                _ => NOT_ALLOWED,
            }
        }
    };
    Some(Verdict { status, head })
}

/// One client, for as long as it has.
struct Exchange {
    stream: TcpStream,
    deadline: Instant,
}

impl Exchange {
    fn run(mut self, content_type: &str, page: &Page) -> io::Result<()> {
        let Some(Verdict { status, head }) = self.request()? else {
            return Ok(());
        };
        let (content_type, body) = match status {
            OK => (content_type, page()),
            _ => (
                "text/plain; charset=utf-8",
                format!("{status}; the metrics are at {PATH}\n"),
            ),
        };
        let allow = match status {
            NOT_ALLOWED => "Allow: GET, HEAD\r\n",
            _ => "",
        };
        let mut answer = format!(
            "HTTP/1.1 {status}\r\n\
             Content-Type: {content_type}\r\n\
             Content-Length: {}\r\n\
             {allow}Connection: close\r\n\r\n",
            body.len()
        );
        if !head {
            answer.push_str(&body);
        }
        self.write_all(answer.as_bytes())
    }

    /// Reads a request; `None` if none came.
    fn request(&mut self) -> io::Result<Option<Verdict>> {
        let mut request = [0; MAX_REQUEST_BYTES];
        let mut len = 0;
        loop {
            match self.read(&mut request[len..])? {
                0 if len == 0 => return Ok(None),
                0 => {
                    return Ok(Some(Verdict {
                        status: BAD_REQUEST,
                        head: false,
                    }));
                }
                read => len += read,
            }
            // Where the buffer is full there is a verdict.
            if let Some(verdict) = judge(&request[..len]) {
                return Ok(Some(verdict));
            }
        }
    }

    /// The time that is left to wait for the client.
    fn left(&self) -> io::Result<Option<Duration>> {
        match self.deadline.saturating_duration_since(Instant::now()) {
            Duration::ZERO => Err(io::Error::new(io::ErrorKind::TimedOut, "too slow")),
            left => Ok(Some(left)),
        }
    }
}

impl Read for Exchange {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            self.stream.set_read_timeout(self.left()?)?;
            match self.stream.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => return read,
            }
        }
    }
}

impl Write for Exchange {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(self.left()?)?;
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Shutdown;

    use super::*;

    /// What waits that a client must not wait for.
    const FOREVER: Duration = Duration::from_secs(60);
    /// As much longer than its limit as an exchange may take on a machine that is busy.
    const SLACK: Duration = Duration::from_secs(3);

    fn server() -> (MetricsServer, SocketAddr) {
        let any = parse_address("0").unwrap();
        let server = MetricsServer::listen(any, "text/x").unwrap();
        server.answer(|| "the page\n".into());
        let address = server.url()["http://".len()..].trim_end_matches(PATH);
        let address = address.parse().unwrap();
        (server, address)
    }

    fn connect(address: SocketAddr) -> TcpStream {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(FOREVER)).unwrap();
        stream
    }

    /// The whole answer; a reset ends it as well, where the server did not read the whole request.
    fn answer(mut stream: &TcpStream) -> String {
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8(answer).unwrap()
    }

    fn ask(address: SocketAddr, request: &[u8]) -> String {
        let mut stream = connect(address);
        // A server that has refused already does not take the rest.
        let _ = stream.write_all(request);
        answer(&stream)
    }

    const GET: &[u8] = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
    const PAGE: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/x\r\nContent-Length: 9\r\n\
                        Connection: close\r\n\r\nthe page\n";

    #[test]
    fn requests_are_answered_as_they_deserve() {
        let (_server, address) = server();
        let huge = [b"GET /metrics HTTP/1.1\r\nX: ", &[b'x'; 100_000][..]].concat();
        let many = format!("GET /metrics HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(100));
        let bare = PAGE.trim_end_matches("the page\n");
        for (request, expected) in [
            (GET, PAGE),
            (b"GET /metrics HTTP/1.0\r\n\r\n", PAGE),
            (b"GET /metrics?a=b HTTP/1.1\n\n", PAGE),
            (b"HEAD /metrics HTTP/1.1\r\n\r\n", bare),
            (b"GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 404 "),
            (b"GET /metricsx HTTP/1.1\r\n\r\n", "HTTP/1.1 404 "),
            (b"PUT / HTTP/1.1\r\n\r\n", "HTTP/1.1 404 "),
            (
                b"POST /metrics HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc",
                "HTTP/1.1 405 ",
            ),
            (b"get /metrics HTTP/1.1\r\n\r\n", "HTTP/1.1 405 "),
            (b"GET /metrics\r\n\r\n", "HTTP/1.1 400 "),
            (b"GET /metrics HTTP/9.9\r\n\r\n", "HTTP/1.1 400 "),
            (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", "HTTP/1.1 400 "),
            (b"\0\xff\r\n\r\n", "HTTP/1.1 400 "),
            (&huge, "HTTP/1.1 431 "),
            (many.as_bytes(), "HTTP/1.1 431 "),
        ] {
            let stream = connect(address);
            let _ = (&stream).write_all(request);
            let _ = stream.shutdown(Shutdown::Write);
            let answer = answer(&stream);
            let shown = String::from_utf8_lossy(&request[..request.len().min(60)]);
            let whole = expected.starts_with("HTTP/1.1 200");
            assert!(answer.starts_with(expected), "{shown}: {answer}");
            assert!(!whole || answer == expected, "{shown}: {answer}");
            assert_eq!(answer.contains("Allow:"), answer.contains(" 405 "));
        }
    }

    #[test]
    fn a_request_in_pieces_and_one_cut_off_are_told_apart() {
        let (_server, address) = server();
        let mut slow = connect(address);
        for byte in GET {
            slow.write_all(&[*byte]).unwrap();
        }
        assert_eq!(answer(&slow), PAGE);
        for end in 1..GET.len() {
            let mut cut = connect(address);
            cut.write_all(&GET[..end]).unwrap();
            cut.shutdown(Shutdown::Write).unwrap();
            let answer = answer(&cut);
            assert!(answer.starts_with("HTTP/1.1 400 "), "{end}: {answer}");
        }
        let gone = connect(address);
        gone.shutdown(Shutdown::Write).unwrap();
        assert_eq!(answer(&gone), "");
        drop(connect(address));
        assert_eq!(ask(address, GET), PAGE);
    }

    #[test]
    fn nobody_is_kept_waiting_for_longer_than_the_limit() {
        let (_server, address) = server();
        let silent = connect(address);
        let start = Instant::now();
        assert_eq!(ask(address, GET), PAGE);
        assert!(start.elapsed() < EXCHANGE_LIMIT + SLACK);
        assert_eq!(answer(&silent), "");

        // A byte now and then does not give it more time.
        let drip = connect(address);
        let start = Instant::now();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while start.elapsed() < FOREVER && (&drip).write_all(b"G").is_ok() {
                    std::thread::sleep(EXCHANGE_LIMIT / 20);
                }
            });
            assert_eq!(ask(address, GET), PAGE);
        });
        assert!(start.elapsed() < EXCHANGE_LIMIT + SLACK);
    }

    #[test]
    fn a_client_that_takes_no_answer_is_left() {
        let any = parse_address("0").unwrap();
        let server = MetricsServer::listen(any, "text/x").unwrap();
        let (served, until) = channel();
        let next = std::sync::atomic::AtomicUsize::new(0);
        server.answer(move || {
            let _ = served.send(());
            match next.fetch_add(1, Ordering::Relaxed) {
                // More than the buffers of both ends take.
                0 => "x".repeat(64 << 20),
                _ => "the page\n".into(),
            }
        });
        let address = server.url()["http://".len()..].trim_end_matches(PATH);
        let address = address.parse().unwrap();
        let mut deaf = connect(address);
        deaf.write_all(GET).unwrap();
        until.recv_timeout(FOREVER).unwrap();
        let start = Instant::now();
        assert_eq!(ask(address, GET), PAGE);
        assert!(start.elapsed() < EXCHANGE_LIMIT + SLACK);
    }

    #[test]
    fn the_port_is_one_mounts_and_free_when_that_closes() {
        let (server, address) = server();
        let second = MetricsServer::listen(address, "text/x");
        let error = second.err().unwrap().to_string();
        let expected = format!("cannot listen on {address}: address in use; ");
        assert!(error.starts_with(&expected), "{error}");
        assert_eq!(ask(address, GET), PAGE);
        server.close();
        let start = Instant::now();
        while MetricsServer::listen(address, "text/x").is_err() {
            assert!(start.elapsed() < FOREVER);
            std::thread::yield_now();
        }
    }

    #[test]
    fn addresses_are_understood_and_what_is_none_is_named() {
        for (text, expected) in [
            ("9200", "127.0.0.1:9200"),
            (":9200", "127.0.0.1:9200"),
            ("0", "127.0.0.1:0"),
            ("0.0.0.0:9200", "0.0.0.0:9200"),
            ("[::1]:9200", "[::1]:9200"),
        ] {
            assert_eq!(parse_address(text).unwrap().to_string(), expected);
        }
        for text in [
            "",
            ":",
            "65536",
            "-1",
            "localhost:1",
            "127.0.0.1",
            "::1",
            "1:2",
        ] {
            assert!(parse_address(text).unwrap_err().contains(text), "{text}");
        }
    }
}
