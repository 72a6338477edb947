// Starts embedded Postgres on the home given, leaves a table, says so, and stays until it is killed.
import pg from 'pg';
import { pino } from 'pino';
import { startEmbeddedPostgres } from '../src/embedded-postgres.js';

const [home = '', password = ''] = process.argv.slice(2);
const { host, port, user, database } = await startEmbeddedPostgres({ home, password, log: pino({ level: 'silent' }) });
const client = new pg.Client({ host, port, user, password, database });
await client.connect();
await client.query('create table left_behind as select 7 as n');
console.log('ready');
setInterval(() => undefined, 60_000);
