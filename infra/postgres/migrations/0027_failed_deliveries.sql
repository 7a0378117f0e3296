-- Deliveries that ended without success are few among all that there were: whoever looks
-- for them reads them alone.

set local role sluice_owner;

create index webhook_delivery_failed on sluice.webhook_delivery (tenant_id, endpoint_id)
  where state in ('exhausted', 'skipped', 'erased');

reset role;
