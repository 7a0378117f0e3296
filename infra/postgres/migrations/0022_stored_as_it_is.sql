-- Sealed content does not compress, and to try took two thirds of the time that an end
-- took to store. A record of the ledger stays whole in its row up to a page: it is read
-- back in order, over and over, and unpacking costs more than the bytes do.

set local role sluice_owner;

alter table sluice.request alter column finished set storage external;
alter table sluice.provider_call alter column result set storage external;
alter table sluice.ledger_entry set (toast_tuple_target = 8160);

reset role;
