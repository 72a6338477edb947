import { describe, expect, test } from '@jest/globals';
import { nodeTooOld } from './require-node24.js';

describe('the Node that runs', () => {
  test('24 and later will do', () => {
    expect(nodeTooOld('v24.0.0', 'linux', 'x64')).toBeUndefined();
    expect(nodeTooOld('v26.1.0', 'freebsd', 'x64')).toBeUndefined();
  });

  test('an older one is told what to do where npm brings Node 24', () => {
    expect(nodeTooOld('v20.20.2', 'linux', 'x64')).toMatch(
      /needs Node 24, this is v20\.20\.2: run npm ci, then npm start/,
    );
  });

  test('and which to install where npm brings none', () => {
    expect(nodeTooOld('v22.1.0', 'darwin', 'arm64')).toMatch(/no Node for darwin-arm64: install Node 24 LTS from/);
  });
});
