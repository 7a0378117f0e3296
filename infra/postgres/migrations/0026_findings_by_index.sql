-- How many rows a predicate holds is guessed, not counted: of an inequality nearly all,
-- so that the index was as dear as the table, and each round read all that a tenant ever
-- asked. Of an equality it is few. The index is made before the other one goes: until
-- then, requests are read, and wait to be written.

set local role sluice_owner;

create index request_expires on sluice.request
  (tenant_id, substr(terms ->> 'key_id', 5, 2), substr(terms ->> 'key_id', 1, 4))
  where jsonb_typeof(finished -> 'answer') = 'object'
     or jsonb_typeof(finished -> 'findings' -> 0) = 'object';
drop index sluice.request_expiring;

reset role;
