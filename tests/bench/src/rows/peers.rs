//! The peers of fan-out, where they were built (`--features peers`).

use crate::Fallible;
use crate::ground::Kind;
use crate::options::Options;

#[cfg(feature = "peers")]
pub(super) use with::Peers;
#[cfg(not(feature = "peers"))]
pub(super) use without::Peers;

#[cfg(feature = "peers")]
mod with {
    use super::{Fallible, Kind, Options};
    use crate::peers::{Ran, apalis, database, graphile};
    use crate::sample::{median, range};

    /// Their rates so far.
    pub(crate) struct Peers {
        server: Option<String>,
        graphile: Vec<f64>,
        apalis: Vec<f64>,
    }

    impl Peers {
        /// Both know PostgreSQL only.
        pub(crate) fn of(options: &Options, kind: Kind) -> Self {
            let server = options.postgres.clone().filter(|_| kind == Kind::Postgres);
            Self { server, graphile: Vec::new(), apalis: Vec::new() }
        }

        /// One run of each.
        pub(crate) async fn run(&mut self, events: u64) -> Fallible<()> {
            let Some(server) = &self.server else { return Ok(()) };
            let rate = |ran: &Ran| ran.jobs as f64 / ran.seconds;
            let ran = database::with_own(server, async |url| graphile::run(url, events, 4).await).await?;
            self.graphile.push(rate(&ran));
            let ran = database::with_own(server, async |url| apalis::run(url, events, 4).await).await?;
            self.apalis.push(rate(&ran));
            Ok(())
        }

        /// The rate of the faster one.
        pub(crate) fn fastest(&self) -> Option<f64> {
            self.server.as_ref().map(|_| median(&self.graphile).max(median(&self.apalis)))
        }

        pub(crate) fn notes(&self) -> Vec<String> {
            if self.server.is_none() {
                return vec!["beside: the peers know PostgreSQL only".to_owned()];
            }
            let note = |name: &str, settings: &str, rates: &[f64]| {
                format!("{name} ({settings}): {:.0}/s, runs: {}", median(rates), range(rates))
            };
            vec![
                note(graphile::NAME, graphile::SETTINGS, &self.graphile),
                note(apalis::NAME, apalis::SETTINGS, &self.apalis),
            ]
        }
    }
}

#[cfg(not(feature = "peers"))]
mod without {
    use super::{Fallible, Kind, Options};

    /// None were built.
    pub(crate) struct Peers;

    impl Peers {
        pub(crate) fn of(_: &Options, _: Kind) -> Self {
            Self
        }

        pub(crate) async fn run(&mut self, _: u64) -> Fallible<()> {
            Ok(())
        }

        pub(crate) fn fastest(&self) -> Option<f64> {
            None
        }

        pub(crate) fn notes(&self) -> Vec<String> {
            vec!["beside: the peers were not built; `--features peers`".to_owned()]
        }
    }
}
