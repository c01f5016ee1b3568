-- What a gateway remembers of a key is told to it when it stops being true, at the commit that ends it. The text is the
-- digest of the key in hexadecimal digits; an empty one means any key. A commit that tells something waits for others
-- that do, so nothing is told by what charges do to accounts.
CREATE FUNCTION tell_key() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('nijika_keys', encode(OLD.digest, 'hex'));
    RETURN NULL;
END $$;

CREATE FUNCTION tell_any_key() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('nijika_keys', '');
    RETURN NULL;
END $$;

CREATE TRIGGER told_when_changed AFTER UPDATE ON keys FOR EACH ROW
    WHEN ((OLD.digest, OLD.account, OLD.scopes, OLD.expires_at, OLD.revoked_at)
          IS DISTINCT FROM (NEW.digest, NEW.account, NEW.scopes, NEW.expires_at, NEW.revoked_at))
    EXECUTE FUNCTION tell_key();
CREATE TRIGGER told_when_deleted AFTER DELETE ON keys FOR EACH ROW EXECUTE FUNCTION tell_key();
CREATE TRIGGER told_when_emptied AFTER TRUNCATE ON keys FOR EACH STATEMENT EXECUTE FUNCTION tell_any_key();

CREATE TRIGGER told_when_suspended AFTER UPDATE OF suspended_at ON accounts FOR EACH ROW
    WHEN (OLD.suspended_at IS DISTINCT FROM NEW.suspended_at)
    EXECUTE FUNCTION tell_any_key();
