/** Object identifiers by their names in the RFCs. */
export const OID = {
  // Attribute types of names (X.520, RFC 4519, RFC 2985)
  commonName: '2.5.4.3',
  surname: '2.5.4.4',
  serialNumber: '2.5.4.5',
  countryName: '2.5.4.6',
  localityName: '2.5.4.7',
  stateOrProvinceName: '2.5.4.8',
  streetAddress: '2.5.4.9',
  organizationName: '2.5.4.10',
  organizationalUnitName: '2.5.4.11',
  title: '2.5.4.12',
  name: '2.5.4.41',
  givenName: '2.5.4.42',
  initials: '2.5.4.43',
  generationQualifier: '2.5.4.44',
  dnQualifier: '2.5.4.46',
  pseudonym: '2.5.4.65',
  userId: '0.9.2342.19200300.100.1.1',
  domainComponent: '0.9.2342.19200300.100.1.25',
  emailAddress: '1.2.840.113549.1.9.1',

  // Public keys (RFC 3279, RFC 5480, RFC 8410, RFC 9881, RFC 9935)
  rsaEncryption: '1.2.840.113549.1.1.1',
  ecPublicKey: '1.2.840.10045.2.1',
  secp256r1: '1.2.840.10045.3.1.7',
  secp384r1: '1.3.132.0.34',
  secp521r1: '1.3.132.0.35',
  ed25519: '1.3.101.112',
  mlDsa44: '2.16.840.1.101.3.4.3.17',
  mlDsa65: '2.16.840.1.101.3.4.3.18',
  mlDsa87: '2.16.840.1.101.3.4.3.19',
  mlKem512: '2.16.840.1.101.3.4.4.1',
  mlKem768: '2.16.840.1.101.3.4.4.2',
  mlKem1024: '2.16.840.1.101.3.4.4.3',

  // Signatures and digests
  sha1WithRSAEncryption: '1.2.840.113549.1.1.5',
  rsassaPss: '1.2.840.113549.1.1.10',
  sha256WithRSAEncryption: '1.2.840.113549.1.1.11',
  sha384WithRSAEncryption: '1.2.840.113549.1.1.12',
  sha512WithRSAEncryption: '1.2.840.113549.1.1.13',
  mgf1: '1.2.840.113549.1.1.8',
  ecdsaWithSha1: '1.2.840.10045.4.1',
  ecdsaWithSha256: '1.2.840.10045.4.3.2',
  ecdsaWithSha384: '1.2.840.10045.4.3.3',
  ecdsaWithSha512: '1.2.840.10045.4.3.4',
  sha1: '1.3.14.3.2.26',
  sha256: '2.16.840.1.101.3.4.2.1',
  sha384: '2.16.840.1.101.3.4.2.2',
  sha512: '2.16.840.1.101.3.4.2.3',

  // Certificate and CRL extensions (RFC 5280, RFC 9608)
  subjectKeyIdentifier: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  issuerAltName: '2.5.29.18',
  basicConstraints: '2.5.29.19',
  cRLNumber: '2.5.29.20',
  cRLReason: '2.5.29.21',
  invalidityDate: '2.5.29.24',
  deltaCRLIndicator: '2.5.29.27',
  issuingDistributionPoint: '2.5.29.28',
  certificateIssuer: '2.5.29.29',
  nameConstraints: '2.5.29.30',
  cRLDistributionPoints: '2.5.29.31',
  certificatePolicies: '2.5.29.32',
  anyPolicy: '2.5.29.32.0',
  policyMappings: '2.5.29.33',
  authorityKeyIdentifier: '2.5.29.35',
  policyConstraints: '2.5.29.36',
  extKeyUsage: '2.5.29.37',
  freshestCRL: '2.5.29.46',
  inhibitAnyPolicy: '2.5.29.54',
  noRevAvail: '2.5.29.56',
  expiredCertsOnCRL: '2.5.29.60',
  authorityInfoAccess: '1.3.6.1.5.5.7.1.1',
  subjectInfoAccess: '1.3.6.1.5.5.7.1.11',
  userNotice: '1.3.6.1.5.5.7.2.2',
  adOcsp: '1.3.6.1.5.5.7.48.1',
  adCaIssuers: '1.3.6.1.5.5.7.48.2',

  // Extended key usage (RFC 5280, RFC 5924, RFC 6402)
  anyExtendedKeyUsage: '2.5.29.37.0',
  serverAuth: '1.3.6.1.5.5.7.3.1',
  clientAuth: '1.3.6.1.5.5.7.3.2',
  codeSigning: '1.3.6.1.5.5.7.3.3',
  emailProtection: '1.3.6.1.5.5.7.3.4',
  /** RFC 4945 section 5.1.3.12. */
  ipsecIke: '1.3.6.1.5.5.7.3.17',
  timeStamping: '1.3.6.1.5.5.7.3.8',
  ocspSigning: '1.3.6.1.5.5.7.3.9',
  sipDomain: '1.3.6.1.5.5.7.3.20',
  /** RFC 6402 section 2.10. */
  cmcRa: '1.3.6.1.5.5.7.3.28',
  cmcRA: '1.3.6.1.5.5.7.3.28',

  // OCSP (RFC 6960, RFC 9654)
  ocspBasic: '1.3.6.1.5.5.7.48.1.1',
  ocspNonce: '1.3.6.1.5.5.7.48.1.2',
  ocspAcceptableResponses: '1.3.6.1.5.5.7.48.1.4',
  ocspNoCheck: '1.3.6.1.5.5.7.48.1.5',
  ocspArchiveCutoff: '1.3.6.1.5.5.7.48.1.6',
  ocspServiceLocator: '1.3.6.1.5.5.7.48.1.7',
  ocspPreferredSignatureAlgorithms: '1.3.6.1.5.5.7.48.1.8',
  ocspExtendedRevoke: '1.3.6.1.5.5.7.48.1.9',

  // PKCS#10 attributes (RFC 2985, RFC 6402, RFC 7030 4.4.1, RFC 9883, RFC 9908)
  challengePassword: '1.2.840.113549.1.9.7',
  extensionRequest: '1.2.840.113549.1.9.14',
  smimeCapabilities: '1.2.840.113549.1.9.15',
  decryptKeyIdentifier: '1.2.840.113549.1.9.16.2.37',
  asymmetricDecryptKeyIdentifier: '1.2.840.113549.1.9.16.2.54',
  certificationRequestInfoTemplate: '1.2.840.113549.1.9.16.2.61',
  extensionRequestTemplate: '1.2.840.113549.1.9.16.2.62',
  changeSubjectName: '1.3.6.1.5.5.7.7.36',
  statementOfPossession: '1.3.6.1.4.1.22112.2.1',

  // CMS content types and attributes (RFC 5652, RFC 5958, RFC 5272)
  data: '1.2.840.113549.1.7.1',
  signedData: '1.2.840.113549.1.7.2',
  envelopedData: '1.2.840.113549.1.7.3',
  asymmetricKeyPackage: '2.16.840.1.101.2.1.2.78.5',
  pkiData: '1.3.6.1.5.5.7.12.2',
  pkiResponse: '1.3.6.1.5.5.7.12.3',
  contentType: '1.2.840.113549.1.9.3',
  messageDigest: '1.2.840.113549.1.9.4',
  signingTime: '1.2.840.113549.1.9.5',

  // CMS encryption (RFC 3565, RFC 4055, RFC 5753)
  aes128Cbc: '2.16.840.1.101.3.4.1.2',
  aes256Cbc: '2.16.840.1.101.3.4.1.42',
  aes128Wrap: '2.16.840.1.101.3.4.1.5',
  aes256Wrap: '2.16.840.1.101.3.4.1.45',
  rsaesOaep: '1.2.840.113549.1.1.7',
  ecdhSha256Kdf: '1.3.132.1.11.1',
  ecdhSha384Kdf: '1.3.132.1.11.2',
  ecdhSha512Kdf: '1.3.132.1.11.3',

  // CMC controls (RFC 5272 section 6, RFC 6402) and message authentication (RFC 4231)
  cmcStatusInfo: '1.3.6.1.5.5.7.7.1',
  cmcIdentification: '1.3.6.1.5.5.7.7.2',
  cmcIdentityProof: '1.3.6.1.5.5.7.7.3',
  cmcTransactionId: '1.3.6.1.5.5.7.7.5',
  cmcSenderNonce: '1.3.6.1.5.5.7.7.6',
  cmcRecipientNonce: '1.3.6.1.5.5.7.7.7',
  cmcRevokeRequest: '1.3.6.1.5.5.7.7.17',
  cmcRegInfo: '1.3.6.1.5.5.7.7.18',
  cmcStatusInfoV2: '1.3.6.1.5.5.7.7.25',
  cmcIdentityProofV2: '1.3.6.1.5.5.7.7.34',
  hmacWithSha256: '1.2.840.113549.2.9',
  hmacWithSha384: '1.2.840.113549.2.10',
  hmacWithSha512: '1.2.840.113549.2.11',

  // otherName types
  /** RFC 4108 section 5. */
  hardwareModuleName: '1.3.6.1.5.5.7.8.4',
  xmppAddr: '1.3.6.1.5.5.7.8.5',
  smtpUtf8Mailbox: '1.3.6.1.5.5.7.8.9',

  /**
   * The app to which a device certificate belongs: UTF8String with its UUID, non-critical. An arc under 2.25 needs no registration
   * (X.667). It is the first 28 bits of UUID 69a16558-588b-4e6f-83a4-66f7a698ec1a, drawn once for this purpose, and not all 128: Go
   * (crypto/x509), pyca/cryptography and other parsers refuse a whole certificate for an arc above 31 bits, and asn1js loses it.
   */
  touchmarkAppId: '2.25.110761557',
} as const;
