import { createSecretKey, randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { GuardedSigner, IssuerDirectory, prepareIntent, recordOwnIntent, systemActor, type AuthorityContext, type Issuer } from '#authority';
import { addSeconds, isAuthorityError, ManualClock, systemClock } from '#kernel';
import { CrlTbsWriter, newSerial, OID, readPublicKey, type Name } from '#pki';
import { InProcessSigner, type Signer, type SignRequest } from '#signing';
import { nextCrlNumber } from '#store';
import { silent, startTestDatabase, type TestDatabase } from '../harness/database.js';
import { newKey } from '../harness/device.js';
