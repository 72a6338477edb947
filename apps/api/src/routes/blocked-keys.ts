import { Body, Controller, Get, Param, Post, Query } from '@nestjs/common';
import { z } from 'zod';
import { importBlockedKeys, proposeBlockedKeyRevocation, type Actor, type AuthorityContext } from '#authority';
import { AuthorityError, isAuthorityError } from '#kernel';
import { keyFingerprint } from '#pki';
import { BLOCK_SOURCES, listBlockedKeys, listKeyFindings } from '#store';
import { Access } from '../access.js';
import { Answers } from '../answers.js';
import { By, createOnce, Http, read, TheAuthority, type Exchange } from '../authority-module.js';
import { BUNDLE_BODY_BYTES } from '../body.js';
import { needsApproval, proposedSchema } from '../proposals.js';
import {
  blockedKeyJson,
  blockedKeyPage,
  keyFindingJson,
  keyFindingPage,
  keyImportJson,
  keyImportSchema,
  newKeyImport,
} from '../schema/blocked-keys.js';
import { nothing, pageQuery } from '../schema/values.js';
import { keyImportId } from './path-forms.js';

const query = z.strictObject({ ...pageQuery, source: z.enum(BLOCK_SOURCES).optional(), importId: z.uuid().optional() });
const findingQuery = z.strictObject(pageQuery);

/** Keys that nothing is certified for. They are of the instance: whoever holds one, nobody may have it certified. */
@Controller('v1/blocked-keys')
export class BlockedKeyRoutes {
  constructor(@TheAuthority() private readonly a: AuthorityContext) {}

  @Post()
  @Access('blockedKey:import', { bodyBytes: BUNDLE_BODY_BYTES })
  @Answers('Block keys for good; with revoke also propose to revoke what carries them', keyImportSchema, 201)
  create(@By() by: Actor, @Http() http: Exchange, @Body({ schema: newKeyImport }) body: z.infer<typeof newKeyImport>) {
    const { reason, revoke } = body;
    const keys = body.keys.map(fingerprintAt);
    return createOnce(this.a, by, http, { secret: false }, async (a) =>
      keyImportJson(await importBlockedKeys(a, by, { keys, reason, revoke })),
    );
  }

  @Get()
  @Access('blockedKey:read')
  @Answers('List blocked keys', blockedKeyPage)
  async list(@By() by: Actor, @Query({ schema: query }) { source, importId, ...page }: z.infer<typeof query>) {
    const { items, nextCursor } = await read(this.a, by, (tx) => listBlockedKeys(tx, page, { source, importId }));
    return { items: items.map(blockedKeyJson), nextCursor };
  }

  @Get('certificates')
  @Access('blockedKey:read')
  @Answers('List good certificates whose key is blocked, or found weak since', keyFindingPage)
  async certificates(@By() by: Actor, @Query({ schema: findingQuery }) page: z.infer<typeof findingQuery>) {
    const { items, nextCursor } = await read(this.a, by, (tx) => listKeyFindings(tx, page));
    return { items: items.map(keyFindingJson), nextCursor };
  }

  @Post('imports/:id/revoke')
  @Access('blockedKey:import')
  @Answers('Propose to revoke, as compromised, what carries a key of this import', proposedSchema, 202)
  revoke(
    @By() by: Actor,
    @Http() http: Exchange,
    @Param('id', keyImportId) id: string,
    @Body({ schema: nothing }) _: z.infer<typeof nothing>,
  ) {
    return needsApproval(this.a, by, http, (joined) => proposeBlockedKeyRevocation(joined, by, id));
  }
}

/** The answer names the member, and says nothing of what was in it. */
function fingerprintAt(entry: string, at: number): Buffer {
  try {
    return keyFingerprint(entry);
  } catch (error) {
    if (!isAuthorityError(error)) throw error;
    const member = `keys.${at}`;
    throw new AuthorityError(error.kind, `${member}: ${error.detail}`, { code: error.code, member });
  }
}
