//! The peers of fan-out, where they were built (`--features peers`).

use crate::Fallible;
#[cfg(feature = "peers")]
use crate::ground::Ground;
use crate::ground::Kind;
use crate::options::Options;

#[cfg(feature = "peers")]
pub(super) use with::Peers;
#[cfg(not(feature = "peers"))]
pub(super) use without::Peers;

#[cfg(feature = "peers")]
mod with {
    use super::{Fallible, Ground, Kind, Options};
    use crate::peers::{Ran, apalis, graphile};
    use crate::sample::{median, range};

    /// Their rates so far.
    pub(crate) struct Peers<'o> {
        /// None where they can't run.
        options: Option<&'o Options>,
        graphile: Vec<f64>,
        apalis: Vec<f64>,
    }

    impl<'o> Peers<'o> {
        /// Both know PostgreSQL only.
        pub(crate) fn of(options: &'o Options, kind: Kind) -> Self {
            let options = Some(options).filter(|_| kind == Kind::Postgres);
            Self { options, graphile: Vec::new(), apalis: Vec::new() }
        }

        /// One run of each.
        pub(crate) async fn run(&mut self, events: u64) -> Fallible<()> {
            let Some(options) = self.options else { return Ok(()) };
            self.graphile.push(rate(options, async |url| graphile::run(url, events, 4).await).await?);
            self.apalis.push(rate(options, async |url| apalis::run(url, events, 4).await).await?);
            Ok(())
        }

        /// The rate of the faster one.
        pub(crate) fn fastest(&self) -> Option<f64> {
            self.options.map(|_| median(&self.graphile).max(median(&self.apalis)))
        }

        pub(crate) fn notes(&self) -> Vec<String> {
            if self.options.is_none() {
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

    /// Jobs a second, in a database like ours.
    async fn rate(options: &Options, run: impl AsyncFnOnce(&str) -> Fallible<Ran>) -> Fallible<f64> {
        let ground = Ground::empty(options, Kind::Postgres).await?.ok_or("there is no server")?;
        let ran = run(&ground.url).await;
        ground.drop().await?;
        ran.map(|ran| ran.jobs as f64 / ran.seconds)
    }
}

#[cfg(not(feature = "peers"))]
mod without {
    use std::marker::PhantomData;

    use super::{Fallible, Kind, Options};

    /// None were built.
    pub(crate) struct Peers<'o>(PhantomData<&'o Options>);

    impl<'o> Peers<'o> {
        pub(crate) fn of(_: &'o Options, _: Kind) -> Self {
            Self(PhantomData)
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
