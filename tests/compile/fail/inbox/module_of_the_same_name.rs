mod notify {
    use event_core::{AnyEvent, InboxResult, handled, inbox};

    #[inbox]
    pub async fn notify(_event: AnyEvent) -> InboxResult {
        handled()
    }
}

// The marker type and the module share a namespace: name the file otherwise, or use the path `notify::notify`.
pub use notify::notify;

fn main() {}
