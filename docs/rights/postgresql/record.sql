-- To record. The ids and the times of recording are the database's: no INSERT on `id` and `created_at`.
GRANT USAGE ON SCHEMA public TO app_record;
-- Each log. A typed table has no `subject_type`, and no `actor_type` where it has one kind of actor.
GRANT SELECT, INSERT (subject_type, subject_id, actor_type, actor_id, action, version, metadata, context, correlation_id,
    causation_log, causation_id, batch_id, snapshot, idempotency_key, occurred_at)
    ON events TO app_record;
GRANT SELECT ON event_sleepers TO app_record;
-- Where events are throttled.
GRANT SELECT, INSERT, UPDATE (until, last_at) ON event_throttles TO app_record;
-- Where events are recorded in batches.
GRANT INSERT ON event_batches TO app_record;
-- Where events have attachments.
GRANT SELECT, INSERT (id, name, content_type, state), UPDATE (state, size, sha256, log, event_id)
    ON event_attachments TO app_record;
