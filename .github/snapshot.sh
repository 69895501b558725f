#!/usr/bin/env bash
# Builds what a release of that version would publish into ./dist, with nothing
# skipped but the publishing: signed by a key that is made for it and thrown away.
# usage: GORELEASER=… snapshot.sh VERSION
set -euo pipefail
version=$1
export VERSION=$version
GNUPGHOME=$(mktemp -d)
export GNUPGHOME
trap 'gpgconf --kill all; rm -rf "$GNUPGHOME"' EXIT
gpg --batch --quiet --passphrase '' --quick-generate-key snapshot default sign 1d
GPG_FINGERPRINT=$(gpg --batch --with-colons --list-secret-keys | awk -F: '$1 == "fpr" { print $10; exit }')
export GPG_FINGERPRINT

$GORELEASER release --snapshot --clean

# What the registry will look at.
cd dist
sums=terraform-provider-vma_${version}_SHA256SUMS
gpg --batch --quiet --verify "$sums.sig" "$sums"
sha256sum --check --quiet --ignore-missing "$sums"
for target in linux_amd64 linux_arm64 darwin_amd64 darwin_arm64 windows_amd64 windows_arm64; do
  test -s "terraform-provider-vma_${version}_$target.cdx.json"
  grep -q "  terraform-provider-vma_${version}_$target.zip$" "$sums"
done
grep -q "  terraform-provider-vma_${version}_manifest.json$" "$sums"
unzip -p "terraform-provider-vma_${version}_$(go env GOOS)_$(go env GOARCH).zip" "terraform-provider-vma_v$version" >"$GNUPGHOME/stamped"
chmod +x "$GNUPGHOME/stamped"
test "$("$GNUPGHOME/stamped" -version)" = "terraform-provider-vma $version"
echo "dist has version $version for six platforms, with checksums, signature, manifest and SBOMs"
