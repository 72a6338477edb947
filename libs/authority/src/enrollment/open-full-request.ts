import { cmcSharedSecret } from '#credential';
import { checkPopLink, notLinked, PartsRefused, readCmcControls, type CmcControls, type PkiData } from '#est';
import { AuthorityError, isAuthorityError } from '#kernel';
import { contextConstructedTag, OID, readCertReqMsg, readCsr, type Certificate, type CertificationRequest } from '#pki';
import type { AuthorityContext } from '../context.js';
import { authenticate } from './authenticate/authenticate.js';
import {
  checkCertificateSignature,
  checkOwnSignature,
  oneSigner,
  proveIdentity,
  signerCertificate,
} from './authenticate/full-request-signer.js';
import { authenticateCertificate, type DeviceCertificate } from './authenticate/own-certificate.js';
import { presentedDigest } from './authenticate/digest.js';
import type { Principal } from './authenticate/principal.js';
import { presentedSecret, type PresentedSecret } from './authenticate/secret.js';
import { operationByRa } from './enroll-by-ra.js';
import type { EstRequest } from './est-request.js';
import type { FullRequest } from './full-request.js';
import { namedDevice } from './named-device.js';

/** A certificate of ours that a full request is signed with: that of the device, or of an RA at a label that takes RAs. */
export interface FullSigner {
  kind: 'device' | 'ra';
  current: DeviceCertificate;
}

/** Who asks for one of the requests, and whether for a first certificate. */
export interface Asker {
  principal: Principal;
  operation: EstRequest['operation'];
}

export interface OpenedRequest {
  controls: CmcControls;
  /** Undefined: signed by the key that is asked for. */
  signer: FullSigner | undefined;
  /** `csr` is the error where it cannot be taken. */
  requests: { bodyPartId: number; csr: CertificationRequest | AuthorityError }[];
  askerOf: (request: Omit<EstRequest, 'operation'>) => Promise<Asker>;
}

/**
 * Everything that is decided for the whole of a full request: what it asks, by whom it is signed, that no control is left over. Who it is
 * decides before its requests are read, each of which costs a signature. Throws `malformed`, `invalid`, `unauthenticated`, `forbidden`,
 * `limited`; PartsRefused names the parts.
 */
export async function openFullRequest(a: AuthorityContext, request: FullRequest): Promise<OpenedRequest> {
  const { data, message } = request;
  const controls = readCmcControls(data);
  if (data.otherRequests.length > 0) {
    throw new PartsRefused('invalid', 'requests are PKCS#10 or CRMF', data.otherRequests, { code: 'noSupport' });
  }
  const asked = [data.requests, controls.revocations, controls.queries, controls.acceptances];
  const count = asked.reduce((sum, { length }) => sum + length, 0);
  if (count === 0) throw new AuthorityError('invalid', 'the full request asks for nothing');
  const signer = oneSigner(message);
  const certificate = signerCertificate(message, signer);
  if (certificate) {
    checkCertificateSignature(a, message, signer, certificate, request.presented.peerCertificate());
    return byCertificate(a, request, controls, certificate);
  }
  if (count !== 1 || data.requests.length + controls.queries.length !== 1) {
    throw new AuthorityError(
      'invalid',
      'without a certificate a full request holds exactly one request, or one query for it, and nothing else',
    );
  }
  refuseLeftOver(controls, data, undefined);
  const [first] = readRequests(data, controls, undefined);
  // Whose key it is signed by, the request says that the query is about.
  if (!first) return { controls, signer: undefined, requests: [], askerOf: () => Promise.reject(noRequest()) };
  if (isAuthorityError(first.csr)) throw first.csr;
  checkOwnSignature(message, signer, first.csr);
  const presented = await bySecret(a, request, controls);
  checkLinkToSecret(first.csr, controls, presented);
  const asker: Asker = { principal: { method: 'secret', presented }, operation: 'simpleenroll' };
  return { controls, signer: undefined, requests: [first], askerOf: () => Promise.resolve(asker) };
}

/** By Digest the secret is not there to compute with, nor is it known yet whose it would be. */
function checkLinkToSecret(
  csr: CertificationRequest,
  { popLinkRandom }: CmcControls,
  presented: PresentedSecret,
): void {
  if ('hash' in presented) checkPopLink(csr.popLinkWitness, popLinkRandom, cmcSharedSecret(presented.hash));
  else if (csr.popLinkWitness !== undefined || popLinkRandom !== undefined) {
    throw notLinked('popLinkRandom and popLinkWitnessV2 do not go with HTTP Digest: use Basic or an identity proof');
  }
}

const noSecret = (): AuthorityError =>
  notLinked(
    'popLinkRandom and popLinkWitnessV2 go with a shared secret, on which a request signed with a certificate does not rest',
  );

const noRequest = (): AuthorityError => new AuthorityError('internal', 'a request was not read');

async function byCertificate(
  a: AuthorityContext,
  request: FullRequest,
  controls: CmcControls,
  certificate: Certificate,
): Promise<OpenedRequest> {
  const { data, label } = request;
  const presented = { basic: undefined, bearer: undefined, peerCertificate: () => certificate.der };
  const asItself = () => authenticate(a, { ...request, presented, operation: 'simplereenroll' });
  if (certificate.eku?.includes(OID.cmcRa) === true && label.authentication.includes('ra')) {
    const ra = await authenticateCertificate(a, certificate.der);
    refuseLeftOver(controls, data, 'ra');
    return {
      controls,
      signer: { kind: 'ra', current: ra },
      requests: readRequests(data, controls, certificate),
      askerOf: async (one) => {
        // An RA that names itself is a device like any other.
        if (namedDevice(one.csr)?.id === ra.deviceId)
          return { principal: await asItself(), operation: 'simplereenroll' };
        return { principal: { method: 'ra', ra }, operation: await operationByRa(a, one, ra) };
      },
    };
  }
  const principal = await asItself();
  if (principal.method !== 'certificate') throw new AuthorityError('internal', 'a certificate proved something else');
  refuseLeftOver(controls, data, 'device');
  if (controls.popLinkRandom !== undefined) {
    throw noSecret();
  }
  return {
    controls,
    signer: { kind: 'device', current: principal.current },
    requests: readRequests(data, controls, certificate),
    askerOf: ({ csr }) =>
      csr.popLinkWitness === undefined
        ? Promise.resolve({ principal, operation: 'simplereenroll' })
        : Promise.reject(noSecret()),
  };
}

/** RFC 5272 section 3.2.1.1: a control that is not done, and that no RA has done, is named in the answer. */
function refuseLeftOver(controls: CmcControls, { requests }: PkiData, by: FullSigner['kind'] | undefined): void {
  const unknown = controls.unknown.filter((id) => by !== 'ra' || !controls.processed.includes(id));
  if (unknown.length > 0)
    throw new PartsRefused('invalid', 'the full request has a control that is not known here', unknown);
  if (controls.extending.length > 0) {
    throw new PartsRefused('invalid', 'extensions are the profile’s: none is added', controls.extending, {
      code: 'unsupportedExtension',
    });
  }
  if (by !== 'ra' && controls.ofRa.length > 0) {
    throw new PartsRefused('invalid', 'the full request has a control that only an RA may send', controls.ofRa);
  }
  const ids = requests.map(({ bodyPartId }) => bodyPartId);
  const astray = controls.popByRa.filter((one) => !one.requests.every((id) => ids.includes(id)));
  if (astray.length > 0) {
    const named = astray.map(({ bodyPartId }) => bodyPartId);
    throw new PartsRefused('invalid', 'lraPOPWitness names a request that is not there', named);
  }
}

/** One that cannot be taken fails for itself. */
function readRequests(
  data: PkiData,
  { popByRa }: CmcControls,
  signer: Certificate | undefined,
): OpenedRequest['requests'] {
  const vouched = popByRa.flatMap(({ requests }) => requests);
  return data.requests.map(({ bodyPartId, form, der }) => {
    try {
      const csr = form === 'pkcs10' ? readCsr(der, () => signer) : readCertReqMsg(der, contextConstructedTag(1));
      return { bodyPartId, csr };
    } catch (error) {
      if (!isAuthorityError(error)) throw error;
      const byRa = error.code === 'popRequired' && vouched.includes(bodyPartId);
      return { bodyPartId, csr: byRa ? popByRaRefused() : error };
    }
  });
}

/** RFC 5272 section 6.8. */
const popByRaRefused = (): AuthorityError =>
  new AuthorityError('invalid', 'possession of a key is proved by a signature, not by the word of an RA', {
    code: 'popByRa',
  });

async function bySecret(a: AuthorityContext, request: FullRequest, controls: CmcControls): Promise<PresentedSecret> {
  const { label, presented, data, address } = request;
  if (!label.authentication.includes('secret')) {
    throw new AuthorityError('unauthenticated', 'sign the full request with the key of a certificate');
  }
  if (presented.digest) return presentedDigest(a, presented.digest, address);
  if (presented.basic) return presentedSecret(a, presented.basic, address);
  return proveIdentity(a, controls, data, address);
}
