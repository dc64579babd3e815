//! An object store that fails and pauses where a test says.

use std::fmt;
use std::sync::{Arc, Mutex};

use event_sea_orm::object_store::memory::InMemory;
use event_sea_orm::object_store::path::Path;
use event_sea_orm::object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _};
use sea_orm_migration::async_trait::async_trait;
use tokio::sync::Notify;

/// What is done to a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Call {
    Put,
    Delete,
}

/// A store in memory that fails and pauses where a test says. Clones are the same store.
#[derive(Clone, Debug, Default)]
pub struct Objects {
    store: Arc<InMemory>,
    rules: Arc<Mutex<Vec<Rule>>>,
}

#[derive(Clone, Debug)]
struct Rule {
    call: Call,
    /// What the path contains.
    path: String,
    pause: Option<Arc<Pause>>,
}

/// A call that waits.
#[derive(Debug, Default)]
pub struct Pause {
    reached: Notify,
    go: Notify,
}

impl Pause {
    /// Returns when the call was made.
    pub async fn reached(&self) {
        self.reached.notified().await;
    }

    /// Lets the call go on.
    pub fn go(&self) {
        self.go.notify_one();
    }
}

impl Objects {
    /// Has these calls fail, for paths that contain this.
    pub fn fail(&self, call: Call, path: &str) {
        self.rules.lock().unwrap().push(Rule { call, path: path.to_owned(), pause: None });
    }

    /// Has these calls wait.
    pub fn pause(&self, call: Call) -> Arc<Pause> {
        let pause = Arc::new(Pause::default());
        self.rules.lock().unwrap().push(Rule { call, path: String::new(), pause: Some(pause.clone()) });
        pause
    }

    /// Has all calls go well from here on.
    pub fn heal(&self) {
        self.rules.lock().unwrap().clear();
    }

    /// The paths of all objects.
    pub async fn paths(&self) -> Vec<String> {
        let objects: Vec<_> = self.store.list(None).try_collect().await.unwrap();
        objects.into_iter().map(|object| object.location.to_string()).collect()
    }

    async fn ask(&self, call: Call, path: &Path) -> Result<()> {
        let is_meant = |rule: &&Rule| rule.call == call && path.as_ref().contains(&rule.path);
        let rule = self.rules.lock().unwrap().iter().find(is_meant).cloned();
        match rule {
            None => Ok(()),
            Some(Rule { pause: Some(pause), .. }) => {
                pause.reached.notify_one();
                pause.go.notified().await;
                Ok(())
            }
            Some(_) => {
                let source = "https://me:secret@store.example/bucket?sig=secret refused";
                Err(Error::Generic { store: "test", source: source.into() })
            }
        }
    }
}

impl fmt::Display for Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a store that fails")
    }
}

#[async_trait]
impl ObjectStore for Objects {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        self.ask(Call::Put, location).await?;
        self.store.put_opts(location, payload, opts).await
    }

    async fn put_multipart_opts(&self, location: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.ask(Call::Put, location).await?;
        self.store.put_multipart_opts(location, opts).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.store.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let this = self.clone();
        let asked = locations.and_then(move |location| {
            let this = this.clone();
            async move {
                this.ask(Call::Delete, &location).await?;
                Ok(location)
            }
        });
        self.store.delete_stream(asked.boxed())
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.store.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.store.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.store.copy_opts(from, to, options).await
    }
}
