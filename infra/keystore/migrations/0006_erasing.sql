-- An erasure destroys the keys of its plan (`dek_of`, then `dek_destroy_again`), so what
-- was made after the plan is not destroyed in silence: nothing destroys by request or by
-- person any more.

set local role sluice_keystore_owner;

drop function keystore.dek_destroy(uuid, uuid, bytea, integer);

reset role;
