//! A proxy before the server: cuts connections, at best just when an answer comes back, and holds them silent.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::Fallible;

/// What happens to a connection.
enum Mishap {
    /// Both ends are closed.
    Cut,
    /// The same, when the server next answers: what it says is lost.
    CutAtAnswer,
    /// The same, when it answers a COMMIT.
    CutAtCommit,
    /// Nothing passes for a while; then it is closed, or goes on.
    Silence { long: Duration, resumes: bool },
    /// The client's end is closed, and the server is left alone with the session for a while.
    Abandon { long: Duration },
}

/// A running proxy; it lives as long as the process.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    server: (String, u16),
    live: Mutex<HashMap<u64, UnboundedSender<Mishap>>>,
    next: AtomicU64,
    calm: AtomicBool,
    cuts: AtomicU64,
    lost_commits: AtomicU64,
    silences: AtomicU64,
}

/// What the proxy did.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Deeds {
    pub(crate) cuts: u64,
    /// How many of them were answers to a COMMIT.
    pub(crate) lost_commits: u64,
    pub(crate) silences: u64,
}

impl Proxy {
    /// Listens on a port of its own, and lets one connection after another meet with a mishap.
    pub(crate) async fn start(server: (String, u16), mut rng: Rng, longest_silence: Duration) -> Fallible<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let shared = Arc::new(Shared {
            server,
            live: Mutex::default(),
            next: AtomicU64::new(0),
            calm: AtomicBool::new(false),
            cuts: AtomicU64::new(0),
            lost_commits: AtomicU64::new(0),
            silences: AtomicU64::new(0),
        });
        let accepting = shared.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(accepting.clone().serve(client));
            }
        });
        let troubled = shared.clone();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_millis(rng.u64(100..1_200))).await;
                troubled.trouble(&mut rng, longest_silence);
            }
        });
        Ok(Self { port, shared })
    }

    /// No more mishaps; those under way end by themselves.
    pub(crate) fn calm(&self) {
        self.shared.calm.store(true, Relaxed);
    }

    pub(crate) fn deeds(&self) -> Deeds {
        Deeds {
            cuts: self.shared.cuts.load(Relaxed),
            lost_commits: self.shared.lost_commits.load(Relaxed),
            silences: self.shared.silences.load(Relaxed),
        }
    }
}

impl Shared {
    fn live(&self) -> std::sync::MutexGuard<'_, HashMap<u64, UnboundedSender<Mishap>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a connection meet with a mishap.
    fn trouble(&self, rng: &mut Rng, longest_silence: Duration) {
        if self.calm.load(Relaxed) {
            return;
        }
        let long = longest_silence.mul_f64(rng.f64());
        let mishap = match rng.u32(0..20) {
            0..3 => Mishap::Cut,
            3..8 => Mishap::CutAtAnswer,
            8..15 => Mishap::CutAtCommit,
            15..18 => Mishap::Silence { long, resumes: rng.bool() },
            _ => Mishap::Abandon { long },
        };
        let live = self.live();
        let mut ids: Vec<_> = live.keys().collect();
        ids.sort_unstable();
        if let Some(connection) = rng.choice(ids).and_then(|id| live.get(id)) {
            // A connection that has ended meanwhile meets with nothing any more.
            let _ = connection.send(mishap);
        }
    }

    async fn serve(self: Arc<Self>, client: TcpStream) {
        let (host, port) = self.server.clone();
        // A server that is away: the client sees its connection closed.
        let Ok(server) = TcpStream::connect((host, port)).await else { return };
        let id = self.next.fetch_add(1, Relaxed);
        let (sender, mishaps) = unbounded_channel();
        self.live().insert(id, sender);
        // However it ends, both ends are closed.
        let _ = self.pass(client, server, mishaps).await;
        self.live().remove(&id);
    }

    async fn pass(
        &self,
        mut client: TcpStream,
        mut server: TcpStream,
        mut mishaps: UnboundedReceiver<Mishap>,
    ) -> std::io::Result<()> {
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let (mut up, mut down) = (vec![0; 16_384], vec![0; 65_536]);
        let (mut at_answer, mut at_commit) = (false, false);
        loop {
            tokio::select! {
                read = client.read(&mut up) => {
                    let sent = &up[..read?];
                    if sent.is_empty() {
                        return Ok(());
                    }
                    if at_commit && sent.windows(6).any(|window| window == b"COMMIT") {
                        at_answer = true;
                    }
                    server.write_all(sent).await?;
                }
                read = server.read(&mut down) => {
                    let answer = &down[..read?];
                    if answer.is_empty() {
                        return Ok(());
                    }
                    if at_answer && !self.calm.load(Relaxed) {
                        self.cuts.fetch_add(1, Relaxed);
                        self.lost_commits.fetch_add(u64::from(at_commit), Relaxed);
                        return Ok(());
                    }
                    client.write_all(answer).await?;
                }
                Some(mishap) = mishaps.recv() => match mishap {
                    Mishap::Cut => {
                        self.cuts.fetch_add(1, Relaxed);
                        return Ok(());
                    }
                    Mishap::CutAtAnswer => at_answer = true,
                    Mishap::CutAtCommit => at_commit = true,
                    Mishap::Silence { long, resumes } => {
                        self.silences.fetch_add(1, Relaxed);
                        tokio::time::sleep(long).await;
                        if !resumes {
                            return Ok(());
                        }
                    }
                    Mishap::Abandon { long } => {
                        self.cuts.fetch_add(1, Relaxed);
                        drop(client);
                        tokio::time::sleep(long).await;
                        return Ok(());
                    }
                },
            }
        }
    }
}
