import { shared } from './jest.config.js';

/** Programs that others wrote, against whole instances. A missing one is a named skip, with CI=true a failure. */
export default {
  ...shared,
  testMatch: ['<rootDir>/test/interop/**/*.spec.ts'],
  testTimeout: 120_000,
  maxWorkers: 2,
};
