"""A keystore as ``ros2 security`` makes it, by openssl: who may say and hear what, signed.

Permissions are made of SROS2 policies as SROS2's stylesheet makes them, as far as config/sros2_policy.xml needs it.
"""

import subprocess
import xml.etree.ElementTree as ET
from datetime import datetime, timedelta, timezone

DAY = timedelta(days=1)
EVERYTHING = """<policy version="0.2.0"><enclaves><enclave path="{}"><profiles><profile ns="/" node="any">
<topics publish="ALLOW" subscribe="ALLOW"><topic>/*</topic></topics>
<services request="ALLOW" reply="ALLOW"><service>/*</service></services>
</profile></profiles></enclave></enclaves></policy>"""
GOVERNANCE = """<?xml version="1.0" encoding="UTF-8"?>
<dds xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
 xsi:noNamespaceSchemaLocation="http://www.omg.org/spec/DDS-SECURITY/20170901/omg_shared_ca_governance.xsd">
<domain_access_rules><domain_rule><domains><id>{}</id></domains>
<allow_unauthenticated_participants>false</allow_unauthenticated_participants>
<enable_join_access_control>true</enable_join_access_control>
<discovery_protection_kind>ENCRYPT</discovery_protection_kind>
<liveliness_protection_kind>ENCRYPT</liveliness_protection_kind>
<rtps_protection_kind>SIGN</rtps_protection_kind>
<topic_access_rules><topic_rule><topic_expression>*</topic_expression>
<enable_discovery_protection>true</enable_discovery_protection>
<enable_liveliness_protection>true</enable_liveliness_protection>
<enable_read_access_control>true</enable_read_access_control>
<enable_write_access_control>true</enable_write_access_control>
<metadata_protection_kind>ENCRYPT</metadata_protection_kind>
<data_protection_kind>ENCRYPT</data_protection_kind>
</topic_rule></topic_access_rules></domain_rule></domain_access_rules></dds>
"""
PERMISSIONS = """<?xml version="1.0" encoding="UTF-8"?>
<dds xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
 xsi:noNamespaceSchemaLocation="http://www.omg.org/spec/DDS-SECURITY/20170901/omg_shared_ca_permissions.xsd">
<permissions><grant name="{path}"><subject_name>CN={path}</subject_name>
<validity><not_before>{since}</not_before><not_after>{until}</not_after></validity>
<allow_rule><domains><id>{domain}</id></domains>
<publish><topics>{publish}</topics></publish>
<subscribe><topics>{subscribe}</topics></subscribe></allow_rule>
<default>DENY</default></grant></permissions></dds>
"""


class Keystore:
    """A certificate authority of its own in ``folder``, for one DDS domain."""

    def __init__(self, folder, domain):
        self.folder, self.domain = folder, domain
        folder.mkdir()
        _key(folder / "ca.key.pem")
        ca = ("-key", "ca.key.pem", "-out", "ca.cert.pem", "-subj", "/CN=sros2CA", "-days", "2")
        self._openssl("req", "-x509", "-new", "-sha256", *ca)
        (folder / "governance.xml").write_text(GOVERNANCE.format(domain))
        self._sign(folder / "governance.xml", folder / "governance.p7s")

    def add(self, policy):
        """The enclave of ``policy`` (the text of a file): its certificate, and what it may do."""
        (enclave,) = ET.fromstring(policy).iter("enclave")
        path = enclave.get("path")
        folder = self.folder / "enclaves" / path.lstrip("/")
        folder.mkdir(parents=True)
        _key(folder / "key.pem")
        subject = path.replace("/", "\\/")
        self._openssl("req", "-new", "-key", folder / "key.pem", "-out", folder / "csr.pem", "-subj", f"/CN={subject}")
        by = ("-CA", "ca.cert.pem", "-CAkey", "ca.key.pem", "-CAcreateserial", "-sha256", "-days", "2")
        self._openssl("x509", "-req", "-in", folder / "csr.pem", *by, "-out", folder / "cert.pem")
        for name in ("identity_ca", "permissions_ca"):
            (folder / f"{name}.cert.pem").symlink_to(self.folder / "ca.cert.pem")
        (folder / "governance.p7s").symlink_to(self.folder / "governance.p7s")
        (folder / "permissions.xml").write_text(permissions(enclave, self.domain))
        self._sign(folder / "permissions.xml", folder / "permissions.p7s")

    def environment(self, enclave=None):
        """What makes a process obey, in ``enclave`` unless it says another."""
        obey = {"ROS_SECURITY_ENABLE": "true", "ROS_SECURITY_STRATEGY": "Enforce"}
        named = {"ROS_SECURITY_ENCLAVE_OVERRIDE": enclave} if enclave else {}
        return obey | named | {"ROS_SECURITY_KEYSTORE": str(self.folder)}

    def _sign(self, xml, signed):
        by = ("-signer", "ca.cert.pem", "-inkey", "ca.key.pem")
        self._openssl("smime", "-sign", "-text", "-in", xml, "-out", signed, *by)

    def _openssl(self, *arguments):
        subprocess.run(["openssl", *arguments], cwd=self.folder, check=True, capture_output=True)


def _key(path):
    curve = ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:prime256v1")
    subprocess.run(["openssl", "genpkey", *curve, "-out", path], check=True, capture_output=True)


def permissions(enclave, domain):
    """DDS-Security's permissions of an enclave of a policy, everybody's topic of the ROS graph among them."""
    topics = {"publish": ["ros_discovery_info"], "subscribe": ["ros_discovery_info"]}
    for profile in enclave.iter("profile"):
        for rules in profile:
            for way, rule in rules.attrib.items():
                assert rule == "ALLOW", "a policy that denies is not translated here"
                names = [_expanded(profile, each.text) for each in rules]
                if rules.tag == "topics":
                    topics[way] += [f"rt{name}" for name in names]
                    continue
                ask, answer = ("publish", "subscribe") if way == "request" else ("subscribe", "publish")
                topics[ask] += [f"rq{name}Request" for name in names]
                topics[answer] += [f"rr{name}Reply" for name in names]
    listed = {way: "".join(f"<topic>{each}</topic>" for each in sorted(names)) for way, names in topics.items()}
    now = datetime.now(timezone.utc)
    since, until = (f"{each:%Y-%m-%dT%H:%M:%S}" for each in (now - DAY, now + DAY))
    return PERMISSIONS.format(path=enclave.get("path"), domain=domain, since=since, until=until, **listed)


def _expanded(profile, name):
    """A topic's or service's whole name."""
    root = f"{profile.get('ns').rstrip('/')}/"
    if name.startswith("~"):
        return f"{root}{profile.get('node')}{name[1:]}"
    return name if name.startswith("/") else f"{root}{name}"
