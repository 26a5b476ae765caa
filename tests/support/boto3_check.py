#!/usr/bin/python3
"""The stand-in's storage against boto3, an independent signer of POST policies:
posts that boto3 signed are let in or refused, and what the stand-in signs is
what botocore would have signed. Needs Debian's python3-boto3 and build/5.4.
Closes with "N passed, N failed".
"""

import base64
import datetime
import json
import os
import subprocess
import urllib.error
import urllib.request

import boto3
import botocore.auth
import botocore.awsrequest
import botocore.config
import botocore.credentials

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
PATHS = {
    "LUA_PATH": "lua/?.lua;lua/?/init.lua;;",
    "LUA_CPATH": "build/5.4/?.so;;",
}
CONSTANTS = """local policy = require "maiagent.testing.policy"
print(policy.ACCESS_KEY, policy.SECRET_KEY, policy.REGION, policy.BUCKET)"""
KEY = "media/a b ü.txt"
CONTENT = b"\0hello\r\n--frontier"


def lua(*arguments):
    return subprocess.Popen(
        ["lua5.4", *arguments],
        cwd=ROOT,
        env={**os.environ, **PATHS},
        stdout=subprocess.PIPE,
        text=True,
    )


def http(url, body, headers):
    """The status of a POST and its answer."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(url, body, headers)
    try:
        with opener.open(request) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()


def post(url, parts):
    boundary = "frontier-of-the-check"
    body = b""
    for name, value in parts:
        filename = '; filename="a.txt"' if name == "file" else ""
        head = f'form-data; name="{name}"{filename}'
        body += f"--{boundary}\r\nContent-Disposition: {head}\r\n\r\n".encode()
        body += (value if name == "file" else value.encode()) + b"\r\n"
    body += f"--{boundary}--\r\n".encode()
    kind = f"multipart/form-data; boundary={boundary}"
    return http(url, body, {"Content-Type": kind})


class Check:
    def __init__(self):
        constants = lua("-e", CONSTANTS).communicate()[0].split()
        self.access, self.secret, self.region, self.bucket = constants
        self.standin = lua("tests/support/standin.lua")
        self.base_url = self.standin.stdout.readline().strip()
        self.passed = self.failed = 0

    def expect(self, name, found, expected):
        good = found == expected
        self.passed += good
        self.failed += not good
        print(f"{'ok  ' if good else 'FAIL'}  {name}: {found}", end="")
        print("" if good else f", not {expected}")

    def granted(self):
        """What the stand-in itself gives out for an upload."""
        asked = {
            "filename": "a.txt",
            "modelName": "chatbot-file",
            "fieldName": "file",
            "fileSize": len(CONTENT),
        }
        headers = {
            "Authorization": "Api-Key test-key",
            "Content-Type": "application/json",
        }
        url = self.base_url + "/api/v1/upload-presigned-url/"
        return json.loads(http(url, json.dumps(asked).encode(), headers)[1])

    def signed(self, secret=None, access=None, expires=60, token=None):
        """The fields of a post by boto3."""
        client = boto3.client(
            "s3",
            region_name=self.region,
            aws_access_key_id=access or self.access,
            aws_secret_access_key=secret or self.secret,
            aws_session_token=token,
            config=botocore.config.Config(signature_version="s3v4"),
        )
        return client.generate_presigned_post(
            self.bucket,
            KEY,
            Fields={"Content-Type": "text/plain"},
            Conditions=[
                {"Content-Type": "text/plain"},
                ["content-length-range", 1, len(CONTENT)],
                ["starts-with", "$key", "media/"],
            ],
            ExpiresIn=expires,
        )["fields"]

    def posts(self):
        """(name, fields, what to do to the parts, status, code or reason)."""

        def change(name, value):
            return lambda parts: [
                (n, value if n == name else v) for n, v in parts
            ]

        def drop(name):
            return lambda parts: [part for part in parts if part[0] != name]

        def same(parts):
            return parts

        good = self.signed()
        wrong = self.signed(secret="wrong")
        return [
            ("good", good, same, 204, ""),
            ("good, with a token", self.signed(token="t"), same, 204, ""),
            ("wrong secret", wrong, same, 403, "SignatureDoesNotMatch"),
            (
                "wrong access key",
                self.signed(access="AKIA"),
                same,
                403,
                "InvalidAccessKeyId",
            ),
            (
                "tampered key",
                good,
                change("key", "media/b"),
                403,
                ": [&quot;eq&quot;,&quot;$key&quot;",
            ),
            (
                "too big",
                good,
                change("file", CONTENT + b"!"),
                400,
                "EntityTooLarge",
            ),
            ("too small", good, change("file", b""), 400, "EntityTooSmall"),
            (
                "wrong Content-Type",
                good,
                change("Content-Type", "text/html"),
                403,
                ": [&quot;eq&quot;,&quot;$content-type&quot;",
            ),
            ("expired", self.signed(expires=-5), same, 403, "Policy expired."),
            ("no policy", good, drop("policy"), 403, "Access Denied"),
            (
                "no signature",
                good,
                drop("x-amz-signature"),
                400,
                "InvalidArgument",
            ),
            (
                "extra field",
                good,
                lambda parts: [("acl", "public-read")] + parts,
                403,
                "Extra input fields: acl",
            ),
            (
                "file before key",
                good,
                lambda parts: parts[-1:] + parts[:-1],
                400,
                "as its last field",
            ),
        ]

    def run_posts(self):
        url = self.granted()["url"]
        for name, fields, edit, status, code in self.posts():
            parts = edit(list(fields.items()) + [("file", CONTENT)])
            found, text = post(url, parts)
            self.expect(name, (found, code if code in text else text),
                        (status, code))

    def run_fields(self):
        """What the stand-in gave out, held against botocore's signer."""
        grant = self.granted()
        fields = grant["fields"]
        policy = json.loads(base64.b64decode(fields["policy"]))
        signer = botocore.auth.S3SigV4PostAuth(
            botocore.credentials.Credentials(self.access, self.secret),
            "s3",
            self.region,
        )
        request = botocore.awsrequest.AWSRequest()
        request.context["timestamp"] = fields["x-amz-date"]
        signature = signer.signature(fields["policy"], request)
        self.expect("our signature", fields["x-amz-signature"], signature)
        scope = signer.scope(request)
        self.expect("our credential", fields["x-amz-credential"], scope)
        covered = {}
        for condition in policy["conditions"]:
            if isinstance(condition, dict):
                covered.update(condition)
        wanted = {"bucket": self.bucket, **fields}
        del wanted["policy"], wanted["x-amz-signature"]
        self.expect("our conditions", covered, wanted)
        expires = datetime.datetime.fromisoformat(policy["expiration"][:-1])
        left = (expires - datetime.datetime.utcnow()).total_seconds()
        self.expect("our expiration", 3500 < left <= 3600, True)
        parts = list(fields.items()) + [("file", CONTENT)]
        self.expect("our own post", post(grant["url"], parts)[0], 204)


check = Check()
try:
    check.run_posts()
    check.run_fields()
finally:
    check.standin.terminate()
    check.standin.wait()
print(f"{check.passed} passed, {check.failed} failed")
raise SystemExit(check.failed > 0 or check.passed == 0)
