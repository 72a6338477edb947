import { test } from '@jest/globals';
import { expectNoEffectWithoutAudit } from './expect-no-effect.js';

test(
  'while no audit entry can be written, no action of any kind takes effect',
  () => expectNoEffectWithoutAudit(400),
  300_000,
);
