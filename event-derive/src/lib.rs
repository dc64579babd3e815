//! The macros of `event-core` and `event-sea-orm`: use them from there, since their output names those crates.

mod domain_event;
mod duration;
mod errors;
mod inbox;
mod location;
mod meta;
mod names;
mod state_machine;
mod suggest;
mod tense;
#[cfg(test)]
mod testing;

use proc_macro::TokenStream;

/// Makes an enum the events of a model: each variant is an action, its fields are the action's metadata.
///
/// ```ignore
/// #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DomainEvent)]
/// #[event(subject(issue::Entity, label = title), actor(user::Entity, label = name))]
/// pub enum IssueEvent {
///     #[event(summary = "{actor} opened {subject}")]
///     Created,
///     Assigned { assignee_id: i64 },
///     #[event(summary = "{actor} moved {subject} from {from} to {to}", version = 2)]
///     StatusChanged { from: Status, to: Status, #[serde(default)] reason: Option<String> },
/// }
/// ```
///
/// The enum also derives serde's `Serialize` and `Deserialize`, through which metadata is stored and read; its types need
/// nothing else. A type that has schemars' `JsonSchema` is described by it in the action's schema, another one is left open.
///
/// # What it makes
/// - the implementations of `DomainEvent`, and of `EventOf` and `ActorOf` for the subject and the actors;
/// - beside the enum, as visible as it, the fieldless enum of its actions: `IssueEventAction` for `IssueEvent`, with
///   `Action`, `Display` (the stored name) and `From<&IssueEvent>`;
/// - an entry in `event_core::registry::events()`.
///
/// # On the enum
/// | attribute | |
/// |---|---|
/// | `subject(Type, name = "...", label = column)` | what the events happen to; required. `name` is stored, and is by default the module of an `Entity` (`issue::Entity` → `issue`) or the type's own name in snake case. `label` is the column that names a subject in sentences |
/// | `actor(Type, name = "...", label = column)` | who makes them happen; as often as there are kinds of actor |
/// | `log = "..."` | the shared log they are recorded in, by default `events` |
/// | `crate = "..."` | the path of event-core, by default `::event_core` |
///
/// # On a variant
/// | attribute | |
/// |---|---|
/// | `name = "..."` | the stored name of the action, by default the variant in snake case; keeps a stored name when the variant is renamed |
/// | `alias = "..."` | a name that the action was stored under in the past, and is still read from; as often as there are some |
/// | `version = 2` | the version of its metadata, by default 1 |
/// | `upcast(1 = v1_to_v2, 2 = f)` | the functions that bring metadata stored under a version to the next one, each `fn(Metadata) -> Metadata` or `fn(Metadata) -> Result<Metadata, E>` with an `E: Display`. What was stored under version 1 goes through every step from 1 on; a version without a step is read as it is |
/// | `summary = "..."` | the action as a sentence: `{subject}`, `{actor}` and the variant's fields (`{from}`, and inside one `{label.name}`); `{{` and `}}` are braces |
/// | `allow(tense)` | keeps a name that is not in the past tense |
///
/// # Rules
/// An action is a fact, so its name is in the past tense: a participle at the end (`StatusChanged`), or before a particle
/// (`SignedUp`, `PaidInFull`). Names and aliases are unique in the enum and have at most 64 characters. Metadata is a JSON object: a variant is a unit (`{}`),
/// has named fields, or holds one value that serialises to an object. Fields are not named `subject` or `actor`, and can be read back as
/// they were stored. Serde's attributes that would store the enum in another form (`tag`, `untagged`, `into`, `other`, ...)
/// are refused. Generic enums are refused.
#[proc_macro_derive(DomainEvent, attributes(event))]
pub fn derive_domain_event(input: TokenStream) -> TokenStream {
    domain_event::derive(input.into()).into()
}

/// Makes an enum of states a state machine on a model's column: each transition is a method of the model, which changes the row and
/// records the event in one step. From `event_sea_orm`.
///
/// ```ignore
/// #[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, Serialize, Deserialize, StateMachine)]
/// #[sea_orm(rs_type = "String", db_type = "String(StringLen::N(16))", rename_all = "snake_case")]
/// #[state_machine(issue::Entity, column = status, event = IssueEvent::StatusChanged { from, to })]
/// #[transition(start, from(Open, Reopened), to = InProgress)]
/// #[transition(close, from(Open, InProgress), to = Closed, guard = may_close, event = IssueEvent::Closed)]
/// #[transition(reopen, from(Closed), to = Reopened)]
/// pub enum Status {
///     #[state(initial)]
///     Open,
///     InProgress,
///     Closed,
///     Reopened,
/// }
///
/// let issue = issue.start(txn).by(&ada).await?.model;
/// ```
///
/// # What it makes
/// Beside the enum, and as visible as it:
/// - `StatusTransitions`, a trait of the model: for each transition `issue.start(conn)` and `issue.can_start()`, and for all of them
///   `issue.allowed()`, `issue.can(transition)`, `issue.transition(transition, conn)`. Where it is used it has to be in scope:
///   `use crate::issue::StatusTransitions as _;`;
/// - `StatusTransition`, the fieldless enum of the transitions, with `StateTransition` and `Display` (the name).
///
/// And `StateMachine` for the enum itself: `Status::initial()`, `status.allowed()`, `Status::mermaid()`.
///
/// # `#[state_machine(...)]` on the enum
/// | | |
/// |---|---|
/// | `issue::Entity` | the model's entity, first; required |
/// | `column = status` | the model's field that holds the state, whose type is the enum; required |
/// | `event = IssueEvent::StatusChanged { from, to }` | the event that transitions record, unless they say otherwise. `from` and `to` are the states, `model` is the model as it was |
/// | `crate = "..."` | the path of event-sea-orm, by default `::event_sea_orm` |
///
/// # `#[transition(...)]` on the enum, once for each
/// | | |
/// |---|---|
/// | `start` | its name, first: the method |
/// | `from(Open, Reopened)`, `from = Open` | the states that it goes from |
/// | `to = InProgress` | the state that it leads to |
/// | `guard = path`, `guard(path, path)` | functions `fn(&issue::Model) -> bool`, or `-> Result<(), E>` with the reason: all of them have to agree |
/// | `event = IssueEvent::Closed` | the event that it records |
///
/// # `#[state(...)]` on a variant
/// | | |
/// |---|---|
/// | `initial` | the state that a new model has; one of them |
/// | `allow(unreachable)` | no transition has to lead to it |
#[proc_macro_derive(StateMachine, attributes(state_machine, transition, state))]
pub fn derive_state_machine(input: TokenStream) -> TokenStream {
    state_machine::derive(input.into()).into()
}

/// Makes an `async fn` an inbox, found at link time: it is called in the background with every event that it takes.
///
/// ```ignore
/// #[inbox(on(Assigned, StatusChanged), when = is_urgent, retry(max_attempts = 8))]
/// async fn email_notifications(event: Event<IssueEvent>, State(mailer): State<Mailer>) -> InboxResult {
///     mailer.send(&event).await?;
///     handled()
/// }
///
/// fn is_urgent(event: &Event<IssueEvent>) -> bool { /* ... */ }
/// ```
///
/// The function stays as it is. Beside it stands a type of the same name, `struct email_notifications {}`, which names the
/// inbox for the test kit. So `mod hook; pub use hook::hook;` clashes: a module and a type share one namespace.
///
/// On an `impl` block it makes an inbox of its `async fn handle`, and the type itself stands for the inbox:
///
/// ```ignore
/// struct Webhooks;
///
/// #[inbox(when = Self::wanted)]
/// impl Webhooks {
///     async fn handle(event: AnyEvent, State(client): State<Client>) -> InboxResult { /* ... */ }
///
///     fn wanted(event: &AnyEvent) -> bool { /* ... */ }
/// }
/// ```
///
/// Every argument is an extractor, something that implements `FromDelivery`. One of them is the event: `Event<YourEvent>`, or
/// `AnyEvent` for the events of every log.
///
/// A `Vec` of one of these is a batch: the handler is called once for all events that are there, in the order of the log, one batch
/// after another. What it says at its end holds for all of them. If it fails, or wants to come again later, each event is
/// delivered again alone, so that only those that fail are retried.
///
/// # Attributes
/// | attribute | |
/// |---|---|
/// | `on(Created, Closed)` | the actions it takes; by default every one of the event. Written as paths (`on(IssueEvent::Created)`) where the argument is `AnyEvent` or has an alias as its type |
/// | `when = path`, `when(path, path)` | synchronous filters, `fn(&Event<E>) -> bool` or `fn(&AnyEvent) -> bool`, asked about each event: all of them have to agree |
/// | `name = "..."` | the stored name, by default the function's (or the type's in snake case); keeps a stored name when the function is renamed |
/// | `concurrency = 8` | deliveries at the same time |
/// | `timeout = "30s"` | how long a delivery may take |
/// | `retry(...)` | `max_attempts = 12`, `backoff = polynomial` or `exponential`, `base = "1s"`, `max_wait = "1d"`, `jitter = 0.15`; or `retry(never)` |
/// | `start = now` | where a new inbox starts in a log that has events already: `now` or `beginning` |
/// | `ordered` | one subject's events one after another |
/// | `batch = 500` | the most events of one call, where the argument is a `Vec`; by default the dispatcher's `batch`, 256 |
/// | `pause(after = 10)` | events of how many different subjects have to fail in a row for the inbox to pause; or `pause(never)` |
/// | `crate = "..."` | the path of event-core, by default `::event_core` |
///
/// Durations are a whole number and a unit: `ms`, `s`, `m`, `h`, `d`.
#[proc_macro_attribute]
pub fn inbox(attribute: TokenStream, item: TokenStream) -> TokenStream {
    inbox::inbox(attribute.into(), item.into()).into()
}
