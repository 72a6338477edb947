import { shared } from './jest.config.js';

/** The full counts: kills, fuzz, cycles, large seeds. Takes half an hour on two cores that nothing else uses. */
export default {
  ...shared,
  testMatch: ['<rootDir>/test/long/**/*.spec.ts'],
  testTimeout: 1_800_000,
  maxWorkers: 1,
};
