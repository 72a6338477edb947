// Waits for a stop as `serve` does: `graceful` takes a moment to stop, `stuck` never does, `broken` fails by itself.
import { pino } from 'pino';
import { listenForStop } from '../src/stop-signal.js';

const [manner = 'graceful'] = process.argv.slice(2);
const stop = listenForStop(
  pino({ level: 'silent' }),
  () => console.log('last words'),
  manner === 'stuck' ? 300 : undefined,
);
console.log('ready');
if (manner === 'broken') {
  setTimeout(() => {
    throw new Error('nobody catches this');
  }, 10);
}
const alive = setInterval(() => undefined, 60_000);
await stop.requested;
console.log('stopping');
if (manner !== 'stuck') {
  setTimeout(() => {
    console.log('stopped');
    clearInterval(alive);
    process.exit(stop.status());
  }, 300);
}
