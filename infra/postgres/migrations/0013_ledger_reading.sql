-- How the logs are read: what is asked for by index, and how far the topics were read.

set local role sluice_owner;

-- Every record that was read up to `next_offset` is older: so a topic that was made
-- anew is told from the one that was read.
alter table sluice.ledger_source add column before timestamptz;

-- Records by actor, by action and by time, in the order in which they are paged.
create index ledger_entry_of_actor on sluice.ledger_entry (tenant_id, actor, seq);
create index ledger_entry_of_action on sluice.ledger_entry (tenant_id, action, seq);
create index ledger_entry_of_time on sluice.ledger_entry using brin (ts);

reset role;
