-- What has expired is found without reading what has not.

set local role sluice_owner;

-- A key's id begins with its day (4 hex digits) and its class (2): what of a class lies
-- on or before a day. An answer that was deleted leaves the index.
create index request_expiring on sluice.request
  (tenant_id, substr(terms ->> 'key_id', 5, 2), substr(terms ->> 'key_id', 1, 4))
  where jsonb_typeof(finished -> 'answer') = 'object';

-- A call's result is for redeliveries until the request's deadline, and no longer.
create index provider_call_old on sluice.provider_call (tenant_id, lease_until);

reset role;
