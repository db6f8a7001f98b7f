-- Recovery, drain and retention: orphans are found without reading what nobody has to do anything about.

-- Receipt of the claim that last took the row, so that a claim whose reply was lost is found again.
alter table task add column claim text;
alter table turn add column claim text;

-- Tasks whose agent is at work; with few distinct owners, so that these are read one by one.
create index task_working_idx on task (agent, owner) where finished_at is null and state <> 'input-required';

-- Who holds turns that have not ended, whether they have a task or not.
create index turn_held_idx on turn (instance, agent)
    where state in ('queued', 'journaled', 'dispatched', 'bound');
drop index turn_unbound_idx;

-- Turns that ended, by their task: they leave with it.
create index turn_ended_idx on turn (task_id, agent) where ended_at is not null and task_id is not null;
