//! A way to a server that can be cut, silenced, or lose an answer: what networks do.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::Kind;

/// What the way is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Everything passes.
    Open,
    /// Nobody gets through, and who was there is cut off.
    Cut,
    /// Connections stand, and nothing passes.
    Silent,
}

/// The way, and how often it was cut: who looks late must not miss a cut that is over.
type Now = (Way, u64);

/// The way; gone with this value.
pub struct Proxy {
    url: String,
    way: watch::Sender<Now>,
    loses: Arc<Mutex<Option<&'static str>>>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    pub(crate) async fn to(kind: Kind, url: &str) -> Self {
        let (scheme, rest) = url.split_once("://").unwrap();
        let (account, place) = rest.split_once('@').map_or(("", rest), |(account, place)| (account, place));
        let (host, database) = place.split_once('/').unwrap();
        let port = if kind == Kind::MySql { 3306 } else { 5432 };
        let server = if host.contains(':') { host.to_owned() } else { format!("{host}:{port}") };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let here = listener.local_addr().unwrap();
        let (way, seen) = watch::channel((Way::Open, 0));
        let loses = Arc::new(Mutex::new(None));
        let accepting = tokio::spawn(accept(listener, server, seen, loses.clone()));
        let at = if account.is_empty() { "" } else { "@" };
        Self { url: format!("{scheme}://{account}{at}{here}/{database}"), way, loses, accepting }
    }

    /// Where it leads from.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Lets everything pass.
    pub fn open(&self) {
        self.way.send_modify(|(way, _)| *way = Way::Open);
    }

    /// Ends every connection, and lets nobody through.
    pub fn cut(&self) {
        self.way.send_modify(|(way, cuts)| (*way, *cuts) = (Way::Cut, *cuts + 1));
    }

    /// Lets nothing pass any more; the connections stay.
    pub fn silence(&self) {
        self.way.send_modify(|(way, _)| *way = Way::Silent);
    }

    /// The next time that somebody sends these words the server gets them, and the connection ends in place of the answer.
    pub fn lose_the_answer_to(&self, words: &'static str) {
        *self.loses.lock().unwrap() = Some(words);
    }

    /// Whether the answer is lost by now.
    pub fn has_lost(&self) -> bool {
        self.loses.lock().unwrap().is_none()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

type Loses = Arc<Mutex<Option<&'static str>>>;

async fn accept(listener: TcpListener, server: String, way: watch::Receiver<Now>, loses: Loses) {
    while let Ok((client, _)) = listener.accept().await {
        let (now, cuts) = *way.borrow();
        if now == Way::Cut {
            continue;
        }
        let (server, way, loses) = (server.clone(), way.clone(), loses.clone());
        tokio::spawn(async move {
            if let Ok(server) = TcpStream::connect(server).await {
                // An end by either side is the end of both.
                drop(pass(client, server, way, cuts, loses).await);
            }
        });
    }
}

async fn pass(
    mut client: TcpStream,
    mut server: TcpStream,
    mut way: watch::Receiver<Now>,
    cuts: u64,
    loses: Loses,
) -> std::io::Result<()> {
    let (mut asked, mut answered) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    loop {
        let (now, cuts_now) = *way.borrow_and_update();
        if cuts_now != cuts {
            return Ok(());
        }
        tokio::select! {
            changed = way.changed() => if changed.is_err() { return Ok(()) },
            read = client.read(&mut asked), if now == Way::Open => {
                let read = read?;
                if read == 0 {
                    return Ok(());
                }
                let lost = is_to_be_lost(&asked[..read], &loses);
                server.write_all(&asked[..read]).await?;
                if lost {
                    // The answer has come: it was done. Nobody hears of it.
                    let _ = server.read(&mut answered).await?;
                    return Ok(());
                }
            }
            read = server.read(&mut answered), if now == Way::Open => {
                let read = read?;
                if read == 0 {
                    return Ok(());
                }
                client.write_all(&answered[..read]).await?;
            }
        }
    }
}

fn is_to_be_lost(sent: &[u8], loses: &Loses) -> bool {
    let mut loses = loses.lock().unwrap();
    let found = loses.is_some_and(|words| sent.windows(words.len()).any(|window| window == words.as_bytes()));
    if found {
        *loses = None;
    }
    found
}
