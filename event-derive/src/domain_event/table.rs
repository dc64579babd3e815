//! An enum's own table, `table = "issue_events"`: the SeaORM entity of its rows, and what the storage has to know of it.
//!
//! The user's paths stand beside the enum, as aliases, and not inside the module, where they might mean something else.

use heck::ToSnakeCase as _;
use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::ext::IdentExt as _;
use syn::{Ident, LitStr};

use super::ast::Event;
use super::entity::Entity;

/// What was written of an enum's own table.
pub(super) struct Table {
    pub(super) name: LitStr,
    /// Whether subject and actor get their relations to it, or the user writes these.
    pub(super) related: bool,
    pub(super) foreign_keys: bool,
}

/// Where the macros' output for tables names things.
fn v1() -> TokenStream {
    quote!(::event_sea_orm::__private::v1)
}

/// The actor whose key is a column with a foreign key: the only kind that there is. Of several kinds the table holds kind and
/// id, as a shared log does.
fn keyed_actor(event: &Event) -> Option<&Entity> {
    match &event.actors[..] {
        [actor] => Some(actor),
        _ => None,
    }
}

fn alias(event: &Event, role: &str) -> Ident {
    format_ident!("__{}{role}", event.ident.unraw())
}

/// `IssueEvent` → `issue_event`
fn module(event: &Event) -> Ident {
    let name = event.ident.unraw().to_string();
    // An enum may be called `__` or `Match`, which in snake case are no identifiers.
    let module = syn::parse_str::<Ident>(&name.to_snake_case()).ok();
    let name = module.map_or_else(|| format!("{}_", name.to_lowercase()), |module| module.to_string());
    format_ident!("{name}", span = event.ident.span())
}

/// The function that gives the storage's description of the table.
pub(super) fn descriptor(event: &Event, table: &Table) -> TokenStream {
    let v1 = v1();
    let Some(subject) = &event.subject else { return quote!(::core::option::Option::None) };
    let key = |entity: &Entity| {
        let (name, path) = (&entity.name, &entity.path);
        let span = syn::spanned::Spanned::span(path);
        // At the user's path: a type that is no entity, or one with a composite key, is an error there.
        quote_spanned!(span=> #v1::OwnKey::of::<#path>(#name))
    };
    let subject = key(subject);
    let actor = match keyed_actor(event).map(key) {
        Some(actor) => quote!(::core::option::Option::Some(#actor)),
        None => quote!(::core::option::Option::None),
    };
    let foreign_keys = table.foreign_keys;
    quote! {
        ::core::option::Option::Some(|| {
            static __TABLE: #v1::OwnTable = #v1::OwnTable::new(#subject, #actor, #foreign_keys);
            &__TABLE
        })
    }
}

/// ```text
/// type __IssueEventSubject = issue::Entity;
/// pub mod issue_event { pub struct Model { ... } ... }
/// ```
pub(super) fn entity(event: &Event, table: &Table) -> TokenStream {
    let Some(subject) = &event.subject else { return TokenStream::new() };
    let Event { vis, ident, krate, .. } = event;
    let (v1, module, name) = (v1(), module(event), &table.name);
    let subject_alias = alias(event, "Subject");
    let subject_path = &subject.path;
    let actor = Actor::of(event, table);
    let Actor { alias, key, fields, relation, definition, related, parts } = &actor;
    let subject_related = table.related.then(|| {
        quote! {
            impl Related<Entity> for Subject {
                fn to() -> RelationDef {
                    <Subject as EntityTrait>::has_many(Entity).into()
                }
            }
        }
    });
    let doc = format!(" The table `{}`: the rows of [`{ident}`], as a SeaORM entity.", name.value());
    let refused = format!("`{}` is append-only: record an event (`issue.record(...)`) instead", name.value());
    let checks = [subject].into_iter().chain(keyed_actor(event)).map(|entity| refers(entity, &v1));
    quote! {
        #(#checks)*
        #[doc(hidden)]
        type #subject_alias = #subject_path;
        #alias

        #[doc = #doc]
        ///
        /// Read it as any other entity. Its `ActiveModel` can't be saved: events are recorded.
        #[allow(dead_code, missing_docs, unreachable_pub, private_interfaces, clippy::all, clippy::pedantic, clippy::nursery)]
        #vis mod #module {
            use #v1::sea_orm;
            use #v1::sea_orm::entity::prelude::*;

            type Subject = super::#subject_alias;

            /// The key of the subject.
            pub type SubjectKey = #v1::ColumnOf<Subject>;
            #key

            /// An event as its row.
            #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
            #[sea_orm(table_name = #name)]
            pub struct Model {
                #[sea_orm(primary_key)]
                pub id: i64,
                pub subject_id: SubjectKey,
                #fields
                pub action: String,
                pub version: i64,
                pub metadata: Json,
                pub context: Option<Json>,
                pub correlation_id: Option<String>,
                pub causation_log: Option<String>,
                pub causation_id: Option<i64>,
                pub batch_id: Option<String>,
                pub snapshot: Option<Json>,
                pub idempotency_key: Option<String>,
                pub occurred_at: DateTimeUtc,
                pub created_at: DateTimeUtc,
            }

            impl Model {
                /// The event that the row holds, with its type.
                ///
                /// # Errors
                /// When this program can't decode it.
                pub fn event(self) -> ::core::result::Result<#krate::Recorded<super::#ident>, #krate::DecodeError> {
                    #v1::event(#v1::RowParts {
                        id: self.id,
                        subject: #v1::key_text(&self.subject_id),
                        actor: #parts,
                        action: self.action,
                        version: self.version,
                        metadata: self.metadata,
                        context: self.context,
                        correlation_id: self.correlation_id,
                        causation_log: self.causation_log,
                        causation_id: self.causation_id,
                        batch_id: self.batch_id,
                        snapshot: self.snapshot,
                        idempotency_key: self.idempotency_key,
                        occurred_at: self.occurred_at,
                        created_at: self.created_at,
                    })
                }
            }

            /// Its relations.
            #[derive(Copy, Clone, Debug, EnumIter)]
            pub enum Relation {
                /// To the subject.
                Subject,
                #relation
            }

            impl RelationTrait for Relation {
                fn def(&self) -> RelationDef {
                    match self {
                        Self::Subject => Entity::belongs_to(<Subject as ::core::default::Default>::default())
                            .from(Column::SubjectId)
                            .to(#v1::KeyColumn::<Subject>::new())
                            .into(),
                        #definition
                    }
                }
            }

            impl Related<Subject> for Entity {
                fn to() -> RelationDef {
                    Relation::Subject.def()
                }
            }
            #subject_related
            #related

            #[async_trait::async_trait]
            impl ActiveModelBehavior for ActiveModel {
                async fn before_save<C>(self, _: &C, _: bool) -> ::core::result::Result<Self, DbErr>
                where
                    C: ConnectionTrait,
                {
                    ::core::result::Result::Err(DbErr::Custom(::std::string::String::from(#refused)))
                }

                async fn before_delete<C>(self, _: &C) -> ::core::result::Result<Self, DbErr>
                where
                    C: ConnectionTrait,
                {
                    ::core::result::Result::Err(DbErr::Custom(::std::string::String::from(#refused)))
                }
            }
        }
    }
}

/// What can't be referred to is an error at the user's path, and the first one of all.
fn refers(entity: &Entity, v1: &TokenStream) -> TokenStream {
    let path = &entity.path;
    let span = syn::spanned::Spanned::span(path);
    quote_spanned! {span=>
        const _: ::core::marker::PhantomData<#v1::Refers<#path>> = ::core::marker::PhantomData;
    }
}

/// What of the module is about the actor.
#[derive(Default)]
struct Actor {
    alias: TokenStream,
    key: TokenStream,
    fields: TokenStream,
    relation: TokenStream,
    definition: TokenStream,
    related: TokenStream,
    /// Kind and id, from the fields.
    parts: TokenStream,
}

impl Actor {
    fn of(event: &Event, table: &Table) -> Self {
        let Some(actor) = keyed_actor(event) else {
            return Self {
                fields: quote! {
                    pub actor_type: Option<String>,
                    pub actor_id: Option<String>,
                },
                parts: quote!(self.actor_type.zip(self.actor_id)),
                ..Self::default()
            };
        };
        let v1 = v1();
        let (alias, path, kind) = (alias(event, "Actor"), &actor.path, &actor.name);
        let is_subject = event.subject.as_ref().is_some_and(|subject| subject.is_same_type(actor));
        let related = if is_subject {
            linked()
        } else {
            let back = table.related.then(|| {
                quote! {
                    impl Related<Entity> for Actor {
                        fn to() -> RelationDef {
                            <Actor as EntityTrait>::has_many(Entity).into()
                        }
                    }
                }
            });
            quote! {
                impl Related<Actor> for Entity {
                    fn to() -> RelationDef {
                        Relation::Actor.def()
                    }
                }
                #back
            }
        };
        Self {
            alias: quote! {
                #[doc(hidden)]
                type #alias = #path;
            },
            key: quote! {
                type Actor = super::#alias;

                /// The key of the actor.
                pub type ActorKey = #v1::ColumnOf<Actor>;
            },
            fields: quote!(pub actor_id: Option<ActorKey>,),
            relation: quote! {
                /// To the actor.
                Actor,
            },
            definition: quote! {
                Self::Actor => Entity::belongs_to(<Actor as ::core::default::Default>::default())
                    .from(Column::ActorId)
                    .to(#v1::KeyColumn::<Actor>::new())
                    .into(),
            },
            related,
            parts: quote! {
                self.actor_id.as_ref().map(|key| (::std::string::String::from(#kind), #v1::key_text(key)))
            },
        }
    }
}

/// Two ways from the table to one entity: SeaORM's `Related` knows one of them.
fn linked() -> TokenStream {
    quote! {
        /// From an event to its actor, for `find_also_linked`: the subject is an entity of the same kind.
        #[derive(Debug)]
        pub struct ToActor;

        impl Linked for ToActor {
            type FromEntity = Entity;
            type ToEntity = Actor;

            fn link(&self) -> ::std::vec::Vec<RelationDef> {
                ::std::vec![Relation::Actor.def()]
            }
        }

        /// From an actor to what it did, for `find_linked`.
        #[derive(Debug)]
        pub struct ByActor;

        impl Linked for ByActor {
            type FromEntity = Actor;
            type ToEntity = Entity;

            fn link(&self) -> ::std::vec::Vec<RelationDef> {
                ::std::vec![Relation::Actor.def().rev()]
            }
        }
    }
}
