-- 0024 had another text before: where that was applied, its index is the one whose
-- predicate nobody uses, under the name that was to go. Elsewhere this does nothing.

set local role sluice_owner;

create index if not exists request_expires on sluice.request
  (tenant_id, substr(terms ->> 'key_id', 5, 2), substr(terms ->> 'key_id', 1, 4))
  where jsonb_typeof(finished -> 'answer') = 'object'
     or jsonb_typeof(finished -> 'findings' -> 0) = 'object';
drop index if exists sluice.request_expiring;

reset role;
