#!/usr/bin/env python3
"""Writes what tailsieve is made of: the bill of materials and the licences that go with the binary.

    deploy/materials/make.py [--features tls] [--target TRIPLE] DIRECTORY

    DIRECTORY/tailsieve.cdx.json   CycloneDX 1.6: every crate that is linked, and the C libraries in them
    DIRECTORY/THIRD-PARTY.txt      their licences, each text once, with those that it is of

It goes by Cargo.lock and by the sources that cargo has fetched, so both are as current as the build. The
same inputs give the same bytes. It needs cargo and nothing but Python's own library.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tomllib
import uuid
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HOMEPAGE = "https://github.com/tailsieve/tailsieve"
LICENCE_FILE = re.compile(r"(licen[cs]e|copying|copyright|notice|unlicense)", re.IGNORECASE)


@dataclass(frozen=True)
class Crate:
    name: str
    version: str

    @property
    def purl(self):
        return f"pkg:cargo/{self.name}@{self.version}"


@dataclass(frozen=True)
class Native:
    """A C library that a crate compiles and links."""

    name: str
    crate: str
    version: str  # An expression that finds it: in the crate's version, or in a file of the crate.
    licence: str
    texts: tuple
    supplier: str
    cpe: str = ""
    file: str = ""


NATIVES = [
    Native("librdkafka", "rdkafka-sys", r"\+([\d.]+)$", "BSD-2-Clause", ("librdkafka/LICENSES.txt",),
           "Confluent Inc.", "confluent:librdkafka"),
    # Inside librdkafka.
    Native("lz4", "rdkafka-sys", r"LZ4_VERSION_(?:MAJOR|MINOR|RELEASE)\s+(\d+)", "BSD-2-Clause",
           ("librdkafka/LICENSE.lz4",), "Yann Collet", "lz4_project:lz4", "librdkafka/src/lz4.h"),
    Native("zstd", "zstd-sys", r"\+zstd\.([\d.]+)$", "BSD-3-Clause", ("zstd/LICENSE",),
           "Meta Platforms, Inc.", "facebook:zstandard"),
    Native("zlib", "libz-sys", r'ZLIB_VERSION "([\d.]+)"', "Zlib", ("src/zlib/LICENSE",),
           "Jean-loup Gailly and Mark Adler", "zlib:zlib", "src/zlib/zlib.h"),
    Native("jemalloc", "tikv-jemalloc-sys", r"\+([\d.]+)", "BSD-2-Clause", ("jemalloc/COPYING",),
           "Jason Evans and others", "jemalloc:jemalloc"),
    Native("openssl", "openssl-src", r"\+([\d.]+)$", "Apache-2.0", ("openssl/LICENSE.txt",),
           "The OpenSSL Project", "openssl:openssl"),
]


@dataclass
class Material:
    """What is linked, what of it uses what, and where it is."""

    root: Crate
    uses: dict = field(default_factory=dict)
    packages: dict = field(default_factory=dict)
    checksums: dict = field(default_factory=dict)


def cargo(*arguments):
    done = subprocess.run(["cargo", *arguments], cwd=ROOT, check=True, capture_output=True, text=True)
    return done.stdout


def crate_of(line):
    """A line of `cargo tree` with its depth before it."""
    depth, name, version = re.match(r"(\d+)(\S+) v(\S+)", line).groups()
    return int(depth), Crate(name, version)


def gather(features, target):
    options = ["--locked", "--features", features] if features else ["--locked"]
    tree = cargo("tree", *options, "--target", target, "--edges", "normal,no-proc-macro",
                 "--prefix", "depth", "--format", "{p}")
    path, material = [], None
    for line in tree.splitlines():
        depth, crate = crate_of(line)
        del path[depth:]
        material = material or Material(crate)
        material.uses.setdefault(crate, set())
        if path:
            material.uses[path[-1]].add(crate)
        path.append(crate)
    metadata = json.loads(cargo("metadata", *options, "--filter-platform", target, "--format-version", "1"))
    material.packages = {Crate(it["name"], it["version"]): it for it in metadata["packages"]}
    lock = tomllib.loads((ROOT / "Cargo.lock").read_text(encoding="utf-8"))
    material.checksums = {
        Crate(it["name"], it["version"]): it["checksum"] for it in lock["package"] if "checksum" in it
    }
    return material


def folder(material, crate):
    return Path(material.packages[crate]["manifest_path"]).parent


def natives(material, has_tls):
    """The C libraries, each with the crate that has its sources and the one that links it."""
    found = []
    for native in NATIVES:
        if native.crate == "openssl-src" and not has_tls:
            continue
        # The sources of OpenSSL come as a build dependency of the crate that links it.
        linking = "openssl-sys" if native.crate == "openssl-src" else native.crate
        links = [crate for crate in material.uses if crate.name == linking]
        sources = [it for it in material.packages if it.name == native.crate]
        if native.crate != "openssl-src":
            sources = [it for it in sources if it in material.uses]
        if not links or not sources:
            sys.exit(f"{native.name}: no crate {native.crate} is linked; correct NATIVES")
        source = sources[0]
        text = source.version
        if native.file:
            text = (folder(material, source) / native.file).read_text(encoding="utf-8")
        version = ".".join(re.findall(native.version, text)[:3])
        if not re.fullmatch(r"\d+(\.\d+)+", version):
            sys.exit(f"{native.name}: its version is not where NATIVES says")
        found.append((native, version, source, links[0]))
    return found


def expression(package):
    # An old way to write OR.
    return " ".join((package["license"] or "").replace("/", " OR ").split())


def crate_component(material, crate):
    package = material.packages[crate]
    component = {
        "type": "library", "bom-ref": crate.purl, "name": crate.name, "version": crate.version,
        "purl": crate.purl, "licenses": [{"expression": expression(package)}],
        "hashes": [{"alg": "SHA-256", "content": material.checksums[crate]}],
    }
    if package["repository"]:
        component["externalReferences"] = [{"type": "vcs", "url": package["repository"]}]
    return component


def native_component(native, version):
    purl = f"pkg:generic/{native.name}@{version}"
    return {
        "type": "library", "bom-ref": purl, "name": native.name, "version": version, "purl": purl,
        "cpe": f"cpe:2.3:a:{native.cpe}:{version}:*:*:*:*:*:*:*",
        "supplier": {"name": native.supplier}, "licenses": [{"license": {"id": native.licence}}],
    }


def bill(material, libraries, features, target):
    crates = sorted((it for it in material.uses if it != material.root), key=lambda it: it.purl)
    ref = {material.root: material.root.purl} | {crate: crate.purl for crate in crates}
    depends = {ref[crate]: {ref[it] for it in used} for crate, used in material.uses.items()}
    components = [crate_component(material, crate) for crate in crates]
    for native, version, _, linking in libraries:
        component = native_component(native, version)
        components.append(component)
        depends[linking.purl].add(component["bom-ref"])
        depends[component["bom-ref"]] = set()
    application = {
        "type": "application", "bom-ref": material.root.purl, "name": material.root.name,
        "version": material.root.version, "purl": material.root.purl,
        "licenses": [{"license": {"id": "Apache-2.0"}}],
        "externalReferences": [{"type": "vcs", "url": HOMEPAGE}],
        "properties": [
            {"name": "cargo:features", "value": features or "default"},
            {"name": "cargo:target", "value": target},
        ],
    }
    document = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1,
        "metadata": {"lifecycles": [{"phase": "build"}], "component": application},
        "components": components,
        "dependencies": [
            {"ref": name, "dependsOn": sorted(used)} for name, used in sorted(depends.items())
        ],
    }
    contents = json.dumps(document, sort_keys=True)
    document["serialNumber"] = f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, HOMEPAGE + contents)}"
    return document


def texts_in(directory):
    files = [it for it in sorted(directory.iterdir()) if it.is_file() and LICENCE_FILE.match(it.name)]
    return [it.read_text(encoding="utf-8", errors="replace").strip() for it in files]


def texts_of(material, crate):
    """Those that are in its sources; else those of a crate of the same repository, or the standard one."""
    package = material.packages[crate]
    found = texts_in(folder(material, crate))
    siblings = [
        it for it in sorted(material.uses, key=lambda it: it.name)
        if package["repository"] and material.packages[it]["repository"] == package["repository"]
    ]
    for sibling in siblings:
        found = found or texts_in(folder(material, sibling))
    if not found and "Apache-2.0" in expression(package):
        found = texts_in(ROOT)
    if not found:
        sys.exit(f"{crate.name} {crate.version}: there is no text of {expression(package)}")
    return found


def notices(material, libraries):
    by_text = {}
    for crate in sorted(material.uses, key=lambda it: (it.name, it.version)):
        if crate == material.root:
            continue
        licence = expression(material.packages[crate])
        for text in texts_of(material, crate):
            by_text.setdefault(text, []).append(f"{crate.name} {crate.version} ({licence})")
    for native, version, source, _ in libraries:
        for name in native.texts:
            text = (folder(material, source) / name).read_text(encoding="utf-8").strip()
            by_text.setdefault(text, []).append(f"{native.name} {version} ({native.licence}), a C library")
    yield "tailsieve is under the Apache License, Version 2.0. It is linked with what is listed here,"
    yield "each with the licences that it may be used under. Where that is a choice, any may be taken."
    for text, owners in sorted(by_text.items(), key=lambda it: it[1]):
        yield "\n" + "=" * 80
        yield from owners
        yield "-" * 80 + "\n"
        yield text


def host():
    rustc = subprocess.run(["rustc", "-vV"], check=True, capture_output=True, text=True, cwd=ROOT)
    return re.search(r"^host: (.*)$", rustc.stdout, re.MULTILINE).group(1)


def main():
    options = argparse.ArgumentParser(description="Writes the bill of materials and the licences.")
    options.add_argument("--features", default="", help="those that tailsieve is built with")
    options.add_argument("--target", default="", help="what it is built for; by default this machine")
    options.add_argument("directory", type=Path)
    arguments = options.parse_args()
    target = arguments.target or host()
    material = gather(arguments.features, target)
    has_tls = "tls" in re.split(r"[, ]", arguments.features)
    libraries = natives(material, has_tls)
    document = bill(material, libraries, arguments.features, target)
    arguments.directory.mkdir(parents=True, exist_ok=True)
    out = arguments.directory / "tailsieve.cdx.json"
    out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    text = "\n".join(notices(material, libraries)) + "\n"
    (arguments.directory / "THIRD-PARTY.txt").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    os.umask(0o022)
    main()
