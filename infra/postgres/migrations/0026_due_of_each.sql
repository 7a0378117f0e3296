-- What is due is found by its tenant: behind one with a long backlog, the sweep of every
-- other one read all of that backlog first. It is made before the other one goes: until
-- then, deliveries wait to be written.

set local role sluice_owner;

create index webhook_delivery_due_of on sluice.webhook_delivery
  (tenant_id, next_attempt_at) where state = 'due';
drop index sluice.webhook_delivery_due;

reset role;
