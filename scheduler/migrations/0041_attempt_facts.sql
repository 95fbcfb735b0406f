-- What the handler of an attempt has noted for its failure, as far as it was reported: whichever scheduler ends the session of a lost
-- worker has it.
alter table attempt_metric add column facts jsonb;
