#!/usr/bin/env node
// The built application lies in dist/ of the checkout; `npm ci` builds it.
import { existsSync } from 'node:fs';

const main = new URL('../../dist/apps/touchmark/src/main.js', import.meta.url);
if (!existsSync(main)) {
  console.error('Touchmark is not built: run npm ci (or npm run build) in its directory.');
  process.exit(1);
}
process.setSourceMapsEnabled?.(true);
await import(main.href);
