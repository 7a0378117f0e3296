-- A record may have as many bytes as its schema lets it have.

set local role sluice_owner;

alter table sluice.ledger_entry drop constraint ledger_entry_body_check;
alter table sluice.ledger_entry add constraint ledger_entry_body_check
  check (octet_length(body) <= 49152);

reset role;
