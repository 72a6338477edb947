import { test } from '@jest/globals';
import { expectNoEffectWithoutAudit } from '../faults/expect-no-effect.js';

test(
  'while no audit entry can be written, no action of any kind takes effect',
  () => expectNoEffectWithoutAudit(2000),
  1_800_000,
);
