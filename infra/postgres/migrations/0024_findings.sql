-- Findings lie under the request's key beside its answer, and go with it; also where
-- there was no answer. An equality, as how many rows a predicate holds is guessed: of
-- an inequality nearly all, so that nobody would use the index. It is made before the
-- other one goes: until then, requests are read, and wait to be written.

set local role sluice_owner;

create index request_expires on sluice.request
  (tenant_id, substr(terms ->> 'key_id', 5, 2), substr(terms ->> 'key_id', 1, 4))
  where jsonb_typeof(finished -> 'answer') = 'object'
     or jsonb_typeof(finished -> 'findings' -> 0) = 'object';
drop index sluice.request_expiring;

reset role;
