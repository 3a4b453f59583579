"""Invented people: the same ones each time, with names from many scripts, on domains that belong to nobody."""

import hashlib
import uuid
from dataclasses import dataclass

BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class Person:
    """A person as an IdP knows one; ``okta_id`` is the id in Okta."""

    okta_id: str
    user_name: str
    given_name: str
    family_name: str
    locale: str

    @property
    def full_name(self) -> str:
        """The given name and the family name, in this order."""
        return f"{self.given_name} {self.family_name}"

    @property
    def mail_nickname(self) -> str:
        """The user name without its domain, which Entra sends as externalId."""
        return self.user_name.partition("@")[0]

    @property
    def guid(self) -> str:
        """The id in IdPs that make UUIDs."""
        return str(uuid.uuid5(uuid.NAMESPACE_URL, self.okta_id))

    @property
    def hex_id(self) -> str:
        """The id in IdPs that make 24 hexadecimal digits."""
        return hashlib.sha256(self.okta_id.encode()).hexdigest()[:24]


@dataclass(frozen=True)
class _Names:
    """Names of one language, each with its form in an address: ``Надежда|nadezhda``."""

    locale: str
    domain: str
    given: tuple[str, ...]
    family: tuple[str, ...]


_LANGUAGES = (
    _Names(
        "en-US",
        "acme.example",
        ("Nadia|nadia", "Mary Jane|mary-jane", "Siobhan|siobhan", "X|x", "José|jose"),
        ("Petrov|petrov", "O'Neill|o'neill", "D’Souza|d.souza", "van der Berg-Smythe|van-der-berg-smythe", "Li|li"),
    ),
    _Names(
        "ru-RU",
        "acme.example",
        ("Надежда|nadezhda", "Фёдор|fyodor", "Юлия|yulia", "Игорь|igor", "Щербана|shcherbana"),
        ("Щукина|shchukina", "Ёлкин|yolkin", "Соловьёва|solovyova", "Ъедов|yedov", "Цой|tsoi"),
    ),
    _Names(
        "zh-CN",
        "acme.example",
        ("伟|wei", "小明|xiaoming", "𠮷|ji", "静怡|jingyi", "芳|fang"),
        ("李|li", "欧阳|ouyang", "王|wang", "司马|sima", "陈|chen"),
    ),
    _Names(
        "ar-EG",
        "acme.example",
        ("ليلى|layla", "عبد الرحمن|abdelrahman", "يوسف|yusuf", "فاطمة الزهراء|fatima-alzahra", "نور|noor"),
        ("المصري|almasri", "بن خلدون|ibn-khaldun", "حدّاد|haddad", "الشريف|alsharif", "قاسم|qasim"),
    ),
    _Names(
        "de-DE",
        "bücher.example",
        ("Jürgen|jürgen", "Annegret|annegret", "Zoë|zoë", "Maximilian Karl Friedrich|max", "Øyvind|øyvind"),
        (
            "Groß|groß",
            "Müller-Lüdenscheidt|müller-lüdenscheidt",
            "Freiherrin von und zu Hohenfels-Waldburg-Trauchburg auf Altenklingenberg|hohenfels",
            "Weiß|weiß",
            "Ångström|ångström",
        ),
    ),
    _Names(
        "hi-IN",
        "acme.example",
        ("प्रिया|priya", "अर्जुन|arjun", "क्षितिज|kshitij", "ऋषि|rishi", "सुनीता|sunita"),
        ("शर्मा|sharma", "त्रिवेदी|trivedi", "सिंह|singh", "ज्ञानेश्वर|dnyaneshwar", "पटेल|patel"),
    ),
    _Names(
        "ja-JP",
        "acme.example",
        ("さくら|sakura", "太郎|taro", "ヴィクトリア|victoria", "健一|kenichi", "みづき|mizuki"),
        ("佐藤|sato", "長谷川|hasegawa", "髙橋|takahashi", "五十嵐|igarashi", "森|mori"),
    ),
    _Names(
        "tr-TR",
        "acme.example",
        ("İpek|ipek", "Işıl|isil", "Çağatay|cagatay", "Şükrü|sukru", "Oğuz|oguz"),
        ("Yıldırım|yildirim", "İnanç|inanc", "Öztürk|ozturk", "Güneş|gunes", "Ağaoğlu|agaoglu"),
    ),
    _Names(
        "ko-KR",
        "acme.example",
        ("지우|jiwoo", "서연|seoyeon", "민준|minjun", "하늘|haneul", "빛나|bitna"),
        ("김|kim", "남궁|namgung", "박|park", "제갈|jegal", "최|choi"),
    ),
    _Names(
        "he-IL",
        "acme.example",
        ("נועה|noa", "אברהם|avraham", "ג׳ורג׳|george", "תמר|tamar", "יעל|yael"),
        ("כהן|cohen", "בן־דוד|ben-david", "לוי|levi", "צ׳רניחובסקי|tchernichovsky", "פרץ|peretz"),
    ),
    _Names(
        "vi-VN",
        "acme.example",
        ("Nguyệt Ánh|nguyet.anh", "Đức|duc", "Thị Hồng Nhung|hong.nhung", "Quốc|quoc", "Bảo Ngọc|bao.ngoc"),
        ("Nguyễn|nguyen", "Trần|tran", "Đặng|dang", "Phạm|pham", "Võ|vo"),
    ),
    _Names(
        "el-GR",
        "acme.example",
        ("Ελένη|eleni", "Οδυσσέας|odysseas", "Άννα|anna", "Χρήστος|christos", "Ίρις|iris"),
        ("Παπαδοπούλου|papadopoulou", "Καραγιαννίδης|karagiannidis", "Ωνάση|onasi", "Ξένος|xenos", "Βλάχος|vlachos"),
    ),
    _Names(
        "th-TH",
        "acme.example",
        ("กนกวรรณ|kanokwan", "สมชาย|somchai", "ณัฐ|nat", "พิมพ์ชนก|pimchanok", "ธีรภัทร|theeraphat"),
        ("ศรีสุข|srisuk", "ณ อยุธยา|na-ayutthaya", "วงศ์สวัสดิ์|wongsawat", "แก้วกล้า|kaewkla", "ใจดี|jaidee"),
    ),
    _Names(
        "ka-GE",
        "acme.example",
        ("თამარ|tamar", "გიორგი|giorgi", "ნინო|nino", "ლევან|levan", "ქეთევან|ketevan"),
        ("მაისურაძე|maisuradze", "ჭავჭავაძე|chavchavadze", "ბერიძე|beridze", "ყიფიანი|kipiani", "წერეთელი|tsereteli"),
    ),
    _Names(
        "am-ET",
        "acme.example",
        ("ሰላም|selam", "ዳዊት|dawit", "ብርሃን|birhan", "ሕይወት|hiwot", "ተስፋዬ|tesfaye"),
        ("ተክለ|tekle", "ገብረማርያም|gebremariam", "አበበ|abebe", "ወልደ|wolde", "ኃይለ|haile"),
    ),
)


def invent(number: int) -> Person:
    """Return the person of a number from 0; Nadia Petrov is the first. Different numbers give different people."""
    language = _LANGUAGES[number % len(_LANGUAGES)]
    turn = number // len(_LANGUAGES)
    # The family name runs on with the given name, so that small companies have few namesakes.
    given, given_address = language.given[turn % len(language.given)].split("|")
    round_, place = divmod(turn, len(language.given))
    family, family_address = language.family[(place + round_) % len(language.family)].split("|")
    generation = round_ // len(language.family)
    suffix = str(generation + 1) if generation else ""
    return Person(
        okta_id=_okta_id(number),
        user_name=f"{given_address}.{family_address}{suffix}@{language.domain}",
        given_name=given,
        family_name=family,
        locale=language.locale,
    )


def _okta_id(number: int) -> str:
    """Return an id as Okta makes them: ``00u`` and seventeen letters and digits."""
    value = int.from_bytes(hashlib.sha256(f"person {number}".encode()).digest())
    digits = []
    for _ in range(17):
        value, digit = divmod(value, len(BASE62))
        digits.append(BASE62[digit])
    return "00u" + "".join(digits)
