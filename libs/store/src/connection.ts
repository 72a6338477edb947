import { AuthorityError } from '#kernel';

/** Where a database is and who we are there. `host` is a name, an address, or the directory of a Unix socket. */
export interface DatabaseConnection {
  host: string;
  port: number;
  user: string;
  password: string;
  database: string;
  ssl: boolean;
}

/** Reads a `postgres://` URL; a socket directory is given percent-encoded as host, or as `?host=`. Throws `invalid`. */
export function parseDatabaseUrl(url: string): DatabaseConnection {
  let parsed: URL;
  try {
    parsed = new URL(url);
  } catch (cause) {
    throw new AuthorityError('invalid', 'DATABASE_URL is not a postgres:// URL', { cause });
  }
  if (!/^postgres(ql)?:$/.test(parsed.protocol))
    throw new AuthorityError('invalid', 'DATABASE_URL is not a postgres:// URL');
  const mode = parsed.searchParams.get('sslmode');
  return {
    host: parsed.searchParams.get('host') ?? decodeURIComponent(parsed.hostname).replace(/^\[(.*)\]$/, '$1'),
    port: Number(parsed.searchParams.get('port') ?? (parsed.port === '' ? 5432 : parsed.port)),
    user: decodeURIComponent(parsed.username),
    password: decodeURIComponent(parsed.password),
    database: decodeURIComponent(parsed.pathname.slice(1)) || 'touchmark',
    ssl: mode !== null && mode !== 'disable',
  };
}
