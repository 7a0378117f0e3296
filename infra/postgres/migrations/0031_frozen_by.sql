-- Which record tells of a tenant's last freeze. A log whose workers are behind may tell of
-- an earlier one alone, and not yet of the thaw between them.
set local role sluice_owner;

alter table sluice.tenant add column frozen_by uuid;

reset role;
