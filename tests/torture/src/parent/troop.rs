//! The child processes: started, looked after, killed, stopped, ended, started again.

use std::fmt;
use std::fs::OpenOptions;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use fastrand::Rng;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::Fallible;
use crate::options::RunOptions;
use crate::process::{RecordOrders, WorkOrders};
use crate::work::FATAL;

/// How many processes record.
const RECORDERS: u32 = 2;
/// Seconds between two events that end the process that handles them, about.
const FATAL_EVERY: Duration = Duration::from_secs(12);

/// What the children are started with.
pub(super) struct Recruiting {
    pub(super) url: String,
    pub(super) proxied: String,
    pub(super) folder: PathBuf,
    pub(super) options: RunOptions,
    pub(super) writers: u32,
    pub(super) two_phase: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Recorder,
    Worker,
}

/// A child's place.
struct Post {
    kind: Kind,
    nth: u32,
    state: State,
}

enum State {
    Running(Child),
    /// Stopped by SIGSTOP, until then.
    Stopped(Child, Instant),
    /// To be started again then.
    Down(Instant),
    Dismissed,
}

/// What happened to the children.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Deeds {
    /// Workers killed by `kill -9`.
    pub(crate) kills: u64,
    pub(crate) recorder_kills: u64,
    /// Stopped, most of them past their lease.
    pub(crate) stops: u64,
    /// Ended orderly.
    pub(crate) ends: u64,
    /// Workers that a handler aborted.
    pub(crate) aborts: u64,
    /// Workers and recorders that ended by themselves with an error.
    pub(crate) exits: u64,
}

impl fmt::Display for Deeds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kills, recorder_kills, stops, ends, aborts, exits } = self;
        write!(
            f,
            "{kills} kills, {stops} stops, {ends} orderly ends, {aborts} aborts, {exits} exits, {recorder_kills} recorders killed"
        )
    }
}

pub(super) struct Troop {
    recruiting: Recruiting,
    rng: Rng,
    posts: Vec<Post>,
    /// How many recorders there were: each has numbers of its own.
    blocks: u32,
    newcomer: bool,
    fatal_at: Instant,
    peace: bool,
    pub(super) deeds: Deeds,
    /// Workers that ended with what waiting can't mend.
    pub(super) fatal: u64,
}

impl Troop {
    pub(super) fn recruit(recruiting: Recruiting, rng: Rng) -> Fallible<Self> {
        let now = Instant::now();
        let workers = (0..recruiting.options.workers).map(|nth| (Kind::Worker, nth));
        let posts = workers.chain((0..RECORDERS).map(|nth| (Kind::Recorder, nth)));
        let posts = posts.map(|(kind, nth)| Post { kind, nth, state: State::Down(now) }).collect();
        let mut troop = Self {
            recruiting,
            rng,
            posts,
            blocks: 0,
            newcomer: false,
            fatal_at: now + FATAL_EVERY / 3,
            peace: false,
            deeds: Deeds::default(),
            fatal: 0,
        };
        troop.tend()?;
        Ok(troop)
    }

    /// Starts who is due, wakes who was stopped for long enough, and notes who has ended.
    pub(super) fn tend(&mut self) -> Fallible<()> {
        let now = Instant::now();
        for at in 0..self.posts.len() {
            let state = std::mem::replace(&mut self.posts[at].state, State::Dismissed);
            self.posts[at].state = match state {
                State::Down(until) if until <= now => State::Running(self.start(at)?),
                State::Running(mut child) => match child.try_wait()? {
                    Some(status) => {
                        self.note_end(self.posts[at].kind, status);
                        State::Down(now + Duration::from_millis(self.rng.u64(50..500)))
                    }
                    None => State::Running(child),
                },
                State::Stopped(child, until) if until <= now => {
                    signal(&child, Signal::SIGCONT)?;
                    State::Running(child)
                }
                other => other,
            };
        }
        Ok(())
    }

    fn start(&mut self, at: usize) -> Fallible<Child> {
        let (kind, nth) = (self.posts[at].kind, self.posts[at].nth);
        let seed = self.rng.u64(..);
        let recruiting = &self.recruiting;
        let unsafe_commits = recruiting.options.crash_server.is_some();
        let (role, name, orders) = match kind {
            Kind::Recorder => {
                self.blocks += 1;
                let fatal = self.fatal_at <= Instant::now();
                if fatal {
                    self.fatal_at = Instant::now() + FATAL_EVERY;
                }
                let writers = share(recruiting.writers, nth);
                let orders = RecordOrders {
                    // One of them connects directly; the other one's connections meet with mishaps, too.
                    url: if nth == 0 { recruiting.url.clone() } else { recruiting.proxied.clone() },
                    writers,
                    connections: if recruiting.url.starts_with("sqlite:") { writers.min(6) } else { writers + 1 },
                    block: self.blocks,
                    seed,
                    lag: recruiting.options.lag,
                    batch: recruiting.options.batch,
                    fatal,
                    two_phase: recruiting.two_phase,
                    unsafe_commits,
                };
                ("record", format!("recorder-{nth}"), serde_json::to_string(&orders)?)
            }
            Kind::Worker => {
                let name = format!("worker-{nth}");
                let orders = WorkOrders {
                    url: recruiting.proxied.clone(),
                    folder: recruiting.folder.clone(),
                    name: name.clone(),
                    seed,
                    lease_ms: recruiting.options.lease,
                    newcomer: self.newcomer,
                    faults: !self.peace,
                    wrong: recruiting.options.wrong,
                    unsafe_commits,
                };
                ("work", name, serde_json::to_string(&orders)?)
            }
        };
        let log = OpenOptions::new().create(true).append(true).open(recruiting.folder.join(format!("{name}.log")))?;
        let mut command = Command::new(std::env::current_exe()?);
        // Panics on purpose are no news.
        command
            .env("RUST_BACKTRACE", "0")
            .args([role, &orders])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log);
        Ok(command.spawn()?)
    }

    fn note_end(&mut self, kind: Kind, status: ExitStatus) {
        use std::os::unix::process::ExitStatusExt as _;
        let aborted = status.signal() == Some(Signal::SIGABRT as i32);
        if aborted && kind == Kind::Worker {
            self.deeds.aborts += 1;
        } else if !status.success() {
            self.deeds.exits += 1;
        }
        if kind == Kind::Worker && status.code() == Some(i32::from(FATAL)) {
            self.fatal += 1;
        }
    }

    /// One of those that run; `None` if none does.
    pub(super) fn choose(&mut self, kind: Kind) -> Option<usize> {
        let running = |post: &Post| post.kind == kind && matches!(post.state, State::Running(_));
        let all: Vec<_> = (0..self.posts.len()).filter(|&at| running(&self.posts[at])).collect();
        self.rng.choice(all)
    }

    /// `kill -9`; started again after that long.
    pub(super) fn kill(&mut self, at: usize, down: Duration) -> Fallible<()> {
        let (State::Running(child) | State::Stopped(child, _)) = &mut self.posts[at].state else { return Ok(()) };
        child.kill()?;
        child.wait()?;
        match self.posts[at].kind {
            Kind::Worker => self.deeds.kills += 1,
            Kind::Recorder => self.deeds.recorder_kills += 1,
        }
        self.posts[at].state = State::Down(Instant::now() + down);
        Ok(())
    }

    /// SIGSTOP, for that long.
    pub(super) fn stop(&mut self, at: usize, long: Duration) -> Fallible<()> {
        let state = std::mem::replace(&mut self.posts[at].state, State::Dismissed);
        self.posts[at].state = match state {
            State::Running(child) => {
                signal(&child, Signal::SIGSTOP)?;
                self.deeds.stops += 1;
                State::Stopped(child, Instant::now() + long)
            }
            other => other,
        };
        Ok(())
    }

    /// SIGTERM: it ends by itself, and is started again.
    pub(super) fn end(&mut self, at: usize) -> Fallible<()> {
        if let State::Running(child) = &self.posts[at].state {
            signal(child, Signal::SIGTERM)?;
            self.deeds.ends += 1;
        }
        Ok(())
    }

    /// From now on workers have the newcomer, and one of them is started anew with it.
    pub(super) fn admit_newcomer(&mut self) {
        if !self.newcomer {
            self.newcomer = true;
            if let Some(at) = self.choose(Kind::Worker) {
                // One that has ended meanwhile is started anew all the same.
                let _ = self.end(at);
            }
        }
    }

    /// The recorders end, and the workers are let alone. All of them are started anew, so that every inbox has a worker.
    pub(super) async fn make_peace(&mut self) -> Fallible<()> {
        self.peace = true;
        for at in 0..self.posts.len() {
            if let State::Stopped(child, _) = &self.posts[at].state {
                signal(child, Signal::SIGCONT)?;
            }
            if self.posts[at].kind == Kind::Worker {
                self.tend()?;
                self.end(at)?;
            }
        }
        self.dismiss_kind(Kind::Recorder).await?;
        Ok(())
    }

    /// Ends the workers; gives how many had to be killed for that.
    pub(super) async fn dismiss(&mut self) -> Fallible<u64> {
        self.dismiss_kind(Kind::Worker).await
    }

    /// Kills whoever is left; for those of whom nothing is expected any more.
    pub(super) fn kill_all(&mut self) -> Fallible<u64> {
        for post in &mut self.posts {
            if let State::Running(mut child) | State::Stopped(mut child, _) =
                std::mem::replace(&mut post.state, State::Dismissed)
            {
                child.kill()?;
                child.wait()?;
            }
        }
        Ok(0)
    }

    async fn dismiss_kind(&mut self, kind: Kind) -> Fallible<u64> {
        let mut hung = 0;
        let mut leaving = Vec::new();
        for post in self.posts.iter_mut().filter(|post| post.kind == kind) {
            let state = std::mem::replace(&mut post.state, State::Dismissed);
            if let State::Running(child) | State::Stopped(child, _) = state {
                signal(&child, Signal::SIGCONT)?;
                signal(&child, Signal::SIGTERM)?;
                leaving.push(child);
            }
        }
        let deadline = Instant::now() + Duration::from_secs(30);
        for mut child in leaving {
            while child.try_wait()?.is_none() {
                if Instant::now() > deadline {
                    child.kill()?;
                    child.wait()?;
                    hung += 1;
                    break;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        Ok(hung)
    }
}

impl Drop for Troop {
    fn drop(&mut self) {
        for post in &mut self.posts {
            if let State::Running(child) | State::Stopped(child, _) = &mut post.state {
                let _ = child.kill();
                let _ = child.wait();
            }
        }
    }
}

/// The writers of the `nth` recorder.
fn share(writers: u32, nth: u32) -> u32 {
    (writers / RECORDERS + u32::from(nth < writers % RECORDERS)).max(1)
}

fn signal(child: &Child, signal: Signal) -> Fallible<()> {
    // A child that has ended and was not waited for is still there to be signalled.
    kill(Pid::from_raw(i32::try_from(child.id())?), signal)?;
    Ok(())
}
