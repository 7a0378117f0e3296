-- Findings lie under the request's key beside its answer, and go with it; also where
-- there was no answer.

set local role sluice_owner;

drop index sluice.request_expiring;
create index request_expiring on sluice.request
  (tenant_id, substr(terms ->> 'key_id', 5, 2), substr(terms ->> 'key_id', 1, 4))
  where jsonb_typeof(finished -> 'answer') = 'object'
     or finished -> 'findings' <> '[]';

reset role;
