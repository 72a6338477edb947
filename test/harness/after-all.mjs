import { rm } from 'node:fs/promises';

/** Removes what `before-all.mjs` made, with anything that a spec file left there. */
export default async function afterAll() {
  await rm(process.env.TMPDIR, { recursive: true, force: true });
}
