//! Who may do what with a file or directory: owner, permission bits and access list (POSIX ACL) in
//! one, decided as Linux does.
//!
//! The kernel checks what it is given for an inode, and knows of nothing above it but what it walked
//! through. Where more stands between a caller and a file than the mount shows, `behind` makes one list of
//! all of it: it never allows a caller more than all of them together do, and mostly the same. Knows no
//! file.

/// Read, write, search or execute: three bits, as in a mode.
type Bits = u8;

/// To search a directory.
const SEARCH: Bits = 1;
const ALL: Bits = 7;

/// Who may do what with a file or directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rights {
    owner: (u32, Bits),
    /// Users who are named; who is the owner as well is the owner.
    users: Vec<(u32, Bits)>,
    /// Groups, the owning one first. Of those that a caller is in, each grants what it says; who is in
    /// one of them is nobody else.
    groups: Vec<(u32, Bits)>,
    other: Bits,
}

/// Rights as an inode has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Permissions {
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Nine bits; with a list, those of the group are the most that the list grants to anybody who is not
    /// the owner or everybody else.
    pub(super) mode: u16,
    /// The access list as the system reads it, if the mode does not say all.
    pub(super) list: Option<Vec<u8>>,
}

/// Somebody of whom nothing is known but this.
#[derive(Clone, Copy)]
enum Caller {
    /// A user, in unknown groups.
    User(u32),
    /// A user that is named in one list, in this group and in unknown ones.
    UserIn(u32, u32),
    /// A user in none of the groups that are named anywhere.
    UserInNone(u32),
    /// A user who is named nowhere, in this group and in unknown ones.
    Group(u32),
    /// A user who is named nowhere, in none of the groups that are.
    Other,
}

impl Rights {
    /// Those of an inode. A list that makes no sense is taken for one that lets nobody but the owner in.
    pub(super) fn new(uid: u32, gid: u32, mode: u16, list: Option<&[u8]>) -> Self {
        let bits = |shift: u16| (mode >> shift).to_le_bytes()[0] & ALL;
        let mut rights = Self {
            owner: (uid, bits(6)),
            users: Vec::new(),
            groups: vec![(gid, bits(3))],
            other: bits(0),
        };
        // Where the mode grants the group nothing, Linux does not look at the list.
        if let Some(list) = list
            && bits(3) != 0
            && rights.set_list(list).is_none()
        {
            rights.users.clear();
            rights.groups = vec![(gid, 0)];
            rights.other = 0;
        }
        rights
    }

    /// Those of something that only one user may enter.
    pub(super) fn of_one(uid: u32) -> Self {
        Self {
            owner: (uid, ALL),
            users: Vec::new(),
            groups: Vec::new(),
            other: 0,
        }
    }

    /// Those of something that nobody may enter.
    pub(super) fn of_nobody() -> Self {
        Self {
            owner: (list::NO_ID, 0),
            ..Self::of_one(0)
        }
    }

    fn set_list(&mut self, bytes: &[u8]) -> Option<()> {
        let gid = self.groups.first()?.0;
        let entries = list::entries(bytes)?;
        let find = |tag| entries.iter().find(|entry| entry.tag == tag);
        let mask = find(list::MASK).map_or(ALL, |entry| entry.bits);
        self.other = find(list::OTHER)?.bits;
        self.groups = vec![(gid, find(list::OWNING_GROUP)?.bits & mask)];
        // Somebody who has no number here. Nobody can be told from them, so all are held to the same.
        let mut unknown = ALL;
        for entry in &entries {
            let named = (entry.id, entry.bits & mask);
            match entry.tag {
                list::USER | list::GROUP if entry.id == list::NO_ID => unknown &= named.1,
                list::USER if entry.id == self.owner.0 => {}
                // Of two that name one user, the first holds.
                list::USER if self.users.iter().any(|user| user.0 == entry.id) => {}
                list::USER => self.users.push(named),
                list::GROUP => self.groups.push(named),
                _ => {}
            }
        }
        self.other &= unknown;
        self.groups.iter_mut().for_each(|group| group.1 &= unknown);
        Some(())
    }

    /// These rights of a directory, as far as they keep anybody from reaching what is in it.
    pub(super) fn that_hinder(mut self) -> Option<Self> {
        let search = |bits: &mut Bits| *bits &= SEARCH;
        search(&mut self.owner.1);
        search(&mut self.other);
        self.users.iter_mut().for_each(|user| search(&mut user.1));
        self.groups
            .iter_mut()
            .for_each(|group| search(&mut group.1));
        self.forget_equal_groups();
        let hinders = self.users.iter().chain(&self.groups).any(|one| one.1 == 0);
        (hinders || self.owner.1 == 0 || self.other == 0).then_some(self)
    }

    /// Groups that are all granted what everybody else is make no difference.
    fn forget_equal_groups(&mut self) {
        if self.groups.iter().all(|group| group.1 == self.other) {
            self.groups.clear();
        }
    }

    /// What is allowed for certain.
    fn least(&self, caller: Caller) -> Bits {
        let named = |uid| {
            let users = || self.users.iter().find(|user| user.0 == uid);
            (self.owner.0 == uid)
                .then_some(self.owner.1)
                .or_else(|| users().map(|user| user.1))
        };
        // To be in a group that is granted less than everybody else takes something away.
        let in_any = || self.groups.iter().fold(self.other, |all, one| all & one.1);
        let in_group = |gid| {
            let granted = self.groups.iter().filter(|group| group.0 == gid);
            granted
                .map(|group| group.1)
                .reduce(|one, more| one | more)
                .unwrap_or_else(in_any)
        };
        match caller {
            Caller::User(uid) => named(uid).unwrap_or_else(in_any),
            Caller::UserIn(uid, gid) => named(uid).unwrap_or_else(|| in_group(gid)),
            Caller::UserInNone(uid) => named(uid).unwrap_or(self.other),
            Caller::Group(gid) => in_group(gid),
            Caller::Other => self.other,
        }
    }

    fn user_ids(&self) -> impl Iterator<Item = u32> {
        std::iter::once(self.owner.0).chain(self.users.iter().map(|user| user.0))
    }

    /// One for all of it: what these rights allow to those whom all the directories above let through.
    ///
    /// A list cannot say "in this group and in that one", nor "this user, if in that group": there it
    /// allows less.
    pub(super) fn behind(&self, above: &[Self]) -> Self {
        if above.is_empty() {
            return self.clone();
        }
        let mut own = self.clone();
        own.forget_equal_groups();
        let allowed = |caller: Caller| {
            let through = above.iter().all(|one| one.least(caller) & SEARCH != 0);
            if through { own.least(caller) } else { 0 }
        };
        let every = || std::iter::once(&own).chain(above);
        let mut gids: Vec<_> = every().flat_map(|one| &one.groups).map(|g| g.0).collect();
        keep_first(&mut gids);
        let mut uids: Vec<_> = every().flat_map(Self::user_ids).collect();
        keep_first(&mut uids);

        let mut groups = Vec::new();
        for gid in gids {
            let granted = allowed(Caller::Group(gid));
            let named = || own.groups.iter().filter(|group| group.0 == gid);
            // What two entries of one group grant is not granted at once.
            groups.extend(named().map(|group| (gid, group.1 & granted)));
            if named().next().is_none() {
                groups.push((gid, granted));
            }
        }
        let other = allowed(Caller::Other);
        let most = groups
            .iter()
            .fold(other, |most, group: &(u32, Bits)| most | group.1);
        let mut joined = Self {
            owner: (self.owner.0, allowed(Caller::User(self.owner.0))),
            users: Vec::new(),
            groups,
            other,
        };
        for uid in uids {
            let bits = allowed(Caller::User(uid));
            let has_less = most & !bits != 0;
            // Who is let through only with a group is better not named, if that cannot grant too much.
            let unnamed = has_less
                && other & !allowed(Caller::UserInNone(uid)) == 0
                && joined
                    .groups
                    .iter()
                    .all(|group| group.1 & !allowed(Caller::UserIn(uid, group.0)) == 0);
            if uid == self.owner.0 {
                // An owner is always named: by another name, if it is to be one of the group. To root,
                // who stands for it then, permissions mean little.
                if unnamed && uid != 0 {
                    joined.owner = (0, allowed(Caller::User(0)));
                }
            } else if !unnamed {
                joined.users.push((uid, bits));
            }
        }
        // Its own group is still shown, where that lets nobody in.
        if let Some((gid, _)) = self.groups.first()
            && joined
                .groups
                .iter()
                .all(|group| group.0 != *gid && other & !group.1 == 0)
        {
            joined.groups.insert(0, (*gid, other));
        }
        let Self { owner, users, .. } = &mut joined;
        users.retain(|user| user.0 != owner.0 && user.0 != list::NO_ID);
        joined.simplified()
    }

    /// The same without names that make no difference.
    fn simplified(mut self) -> Self {
        let other = self.other;
        if self.groups.iter().all(|group| group.1 == other) {
            self.users.retain(|user| user.1 != other);
            self.groups.truncate(1);
        }
        let least = self.groups.iter().fold(other, |least, one| least & one.1);
        let mut first = true;
        self.groups.retain(|group| {
            let owning = std::mem::take(&mut first);
            owning || group.1 != other || other != least
        });
        self
    }

    /// As an inode has them that the kernel asks for its list.
    pub(super) fn permissions(&self) -> Permissions {
        let most = self.most_named();
        let is_plain = self.users.is_empty() && self.groups.len() <= 1;
        // Where everybody is denied alike, no list is needed to say so.
        let is_plain = is_plain || (most == 0 && self.other == 0);
        let group = if is_plain { most } else { self.mask() };
        Permissions {
            list: (!is_plain).then(|| self.list()),
            ..self.with_group(group, self.other)
        }
    }

    /// As an inode has them that the kernel does not ask for its list: what the group and everybody else
    /// are granted is what is granted to each of those who are named as well.
    pub(super) fn without_list(&self) -> Permissions {
        let least = |bits, more: &[(u32, Bits)]| more.iter().fold(bits, |bits, one| bits & one.1);
        let group = self.groups.first().map_or(0, |group| group.1);
        let everybody = least(self.other, &self.users);
        let named = self.groups.get(1..).unwrap_or_default();
        self.with_group(least(group, &self.users), least(everybody, named))
    }

    fn with_group(&self, group: Bits, other: Bits) -> Permissions {
        let mode = [self.owner.1, group, other];
        Permissions {
            uid: self.owner.0,
            gid: self.groups.first().map_or(list::NO_ID, |group| group.0),
            mode: mode
                .iter()
                .fold(0, |mode, bits| mode << 3 | u16::from(*bits)),
            list: None,
        }
    }

    fn most_named(&self) -> Bits {
        let named = self.users.iter().chain(&self.groups);
        named.fold(0, |most, one| most | one.1)
    }

    /// A group that is granted nothing would keep Linux from looking at the list.
    fn mask(&self) -> Bits {
        match self.most_named() {
            0 => SEARCH,
            most => most,
        }
    }

    /// The access list that says all of it.
    pub(super) fn list(&self) -> Vec<u8> {
        let entry = |tag, id, bits| list::Entry { tag, id, bits };
        let named = |tag, of: &[(u32, Bits)]| {
            let mut of = of.to_vec();
            of.sort_unstable();
            of.into_iter().map(move |(id, bits)| entry(tag, id, bits))
        };
        let owning = self.groups.first().map_or(0, |group| group.1);
        let mut entries = vec![entry(list::OWNER, list::NO_ID, self.owner.1)];
        entries.extend(named(list::USER, &self.users));
        entries.push(entry(list::OWNING_GROUP, list::NO_ID, owning));
        entries.extend(named(list::GROUP, self.groups.get(1..).unwrap_or_default()));
        entries.push(entry(list::MASK, list::NO_ID, self.mask()));
        entries.push(entry(list::OTHER, list::NO_ID, self.other));
        list::bytes(&entries)
    }
}

/// True if all whom a list names have a number here. The kernel takes no list that names others.
pub(super) fn names_all(bytes: &[u8]) -> bool {
    let is_named = |entry: &list::Entry| {
        !matches!(entry.tag, list::USER | list::GROUP) || entry.id != list::NO_ID
    };
    list::entries(bytes).is_none_or(|entries| entries.iter().all(is_named))
}

/// Without what is there already, in the order of the first ones.
fn keep_first(ids: &mut Vec<u32>) {
    let mut seen = std::collections::HashSet::new();
    ids.retain(|id| seen.insert(*id));
}

/// The bytes of an access list: a version, and entries of 8 bytes (linux/posix_acl_xattr.h).
mod list {
    use super::{ALL, Bits};

    pub(super) const OWNER: u16 = 0x01;
    pub(super) const USER: u16 = 0x02;
    pub(super) const OWNING_GROUP: u16 = 0x04;
    pub(super) const GROUP: u16 = 0x08;
    pub(super) const MASK: u16 = 0x10;
    pub(super) const OTHER: u16 = 0x20;
    /// Nobody: what entries have that name none, and those of somebody who has no number here.
    pub(super) const NO_ID: u32 = u32::MAX;
    const VERSION: u32 = 2;
    const ENTRY_BYTES: usize = 8;

    pub(super) struct Entry {
        pub(super) tag: u16,
        pub(super) bits: Bits,
        pub(super) id: u32,
    }

    /// `None` if it is no list.
    pub(super) fn entries(bytes: &[u8]) -> Option<Vec<Entry>> {
        let (version, rest) = bytes.split_first_chunk()?;
        let chunks = rest.chunks_exact(ENTRY_BYTES);
        if u32::from_le_bytes(*version) != VERSION || !chunks.remainder().is_empty() {
            return None;
        }
        let entry = |chunk: &[u8]| {
            let (tag, rest) = chunk.split_first_chunk()?;
            let (bits, id) = rest.split_first_chunk::<2>()?;
            Some(Entry {
                tag: u16::from_le_bytes(*tag),
                bits: bits[0] & ALL,
                id: u32::from_le_bytes(id.try_into().ok()?),
            })
        };
        chunks.map(entry).collect()
    }

    pub(super) fn bytes(entries: &[Entry]) -> Vec<u8> {
        let mut bytes = VERSION.to_le_bytes().to_vec();
        for entry in entries {
            bytes.extend(entry.tag.to_le_bytes());
            bytes.extend(u16::from(entry.bits).to_le_bytes());
            bytes.extend(entry.id.to_le_bytes());
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Somebody who wants something.
    #[derive(Debug, Clone)]
    struct Person {
        uid: u32,
        gids: Vec<u32>,
    }

    /// As Linux decides (fs/namei.c, fs/posix_acl.c), from what it has of an inode.
    fn allows(inode: &Permissions, person: &Person, want: Bits) -> bool {
        let class = |shift: u16| (inode.mode >> shift).to_le_bytes()[0] & want == want;
        let is_in = |gid| person.gids.contains(&gid);
        if person.uid == inode.uid {
            return class(6);
        }
        let Some(list) = inode.list.as_deref().filter(|_| inode.mode & 0o070 != 0) else {
            return if is_in(inode.gid) { class(3) } else { class(0) };
        };
        let entries = list::entries(list).unwrap();
        let mask = entries.iter().find(|entry| entry.tag == list::MASK);
        let mask = mask.map_or(ALL, |entry| entry.bits);
        let mut in_a_group = false;
        for entry in &entries {
            let gid = match entry.tag {
                list::USER if entry.id == person.uid => return entry.bits & mask & want == want,
                list::OWNING_GROUP => inode.gid,
                list::GROUP => entry.id,
                list::OTHER => return !in_a_group && entry.bits & want == want,
                _ => continue,
            };
            if is_in(gid) {
                in_a_group = true;
                if entry.bits & want == want {
                    return entry.bits & mask & want == want;
                }
            }
        }
        false
    }

    fn rights(inode: &Permissions) -> Rights {
        Rights::new(inode.uid, inode.gid, inode.mode, inode.list.as_deref())
    }

    fn plain(uid: u32, gid: u32, mode: u16) -> Permissions {
        Permissions {
            uid,
            gid,
            mode,
            list: None,
        }
    }

    fn listed(
        uid: u32,
        gid: u32,
        mode: u16,
        group: Bits,
        named: &[(u16, u32, Bits)],
    ) -> Permissions {
        let entry = |(tag, id, bits)| list::Entry { tag, id, bits };
        let class = |shift: u16| (mode >> shift).to_le_bytes()[0] & ALL;
        let mut entries = vec![(list::OWNER, list::NO_ID, class(6))];
        entries.extend(named.iter().filter(|one| one.0 == list::USER));
        entries.push((list::OWNING_GROUP, list::NO_ID, group));
        entries.extend(named.iter().filter(|one| one.0 == list::GROUP));
        entries.push((list::MASK, list::NO_ID, class(3)));
        entries.push((list::OTHER, list::NO_ID, class(0)));
        let entries: Vec<_> = entries.into_iter().map(entry).collect();
        Permissions {
            list: Some(list::bytes(&entries)),
            ..plain(uid, gid, mode)
        }
    }

    /// Everybody whom it can make a difference to be.
    fn people() -> Vec<Person> {
        let groups = |set: u32| (0..4).filter(move |gid| set >> gid & 1 == 1);
        let person = |uid, set| Person {
            uid,
            gids: groups(set).collect(),
        };
        (0..5)
            .flat_map(|uid| (0..16).map(move |set| person(uid, set)))
            .collect()
    }

    fn random(rng: &mut fastrand::Rng) -> Permissions {
        // Bits that everybody has are as likely as all others together.
        let bits = |rng: &mut fastrand::Rng| if rng.bool() { 5 } else { rng.u8(0..8) };
        let id = |rng: &mut fastrand::Rng| rng.u32(0..4);
        let mode = (0..3).fold(0, |mode, _| mode << 3 | u16::from(bits(rng)));
        let (uid, gid) = (id(rng), id(rng));
        if rng.bool() {
            return plain(uid, gid, mode);
        }
        let named: Vec<_> = (0..rng.usize(0..4))
            .map(|_| {
                let tag = if rng.bool() { list::USER } else { list::GROUP };
                (tag, id(rng), bits(rng))
            })
            .collect();
        listed(uid, gid, mode, bits(rng), &named)
    }

    fn the_source_allows(
        own: &Permissions,
        above: &[Permissions],
        person: &Person,
        want: Bits,
    ) -> bool {
        above.iter().all(|one| allows(one, person, SEARCH)) && allows(own, person, want)
    }

    fn hindrances(above: &[Permissions]) -> Vec<Rights> {
        above
            .iter()
            .filter_map(|one| rights(one).that_hinder())
            .collect()
    }

    #[test]
    fn nobody_is_allowed_more_than_the_source_allows() {
        let mut rng = fastrand::Rng::with_seed(13);
        let people = people();
        let (mut answers, mut less) = (0_u32, 0_u32);
        for _ in 0..4_000 {
            let own = random(&mut rng);
            let above: Vec<_> = (0..rng.usize(0..4)).map(|_| random(&mut rng)).collect();
            let joined = rights(&own).behind(&hindrances(&above));
            for person in &people {
                for want in 1..=ALL {
                    let source = the_source_allows(&own, &above, person, want);
                    for shown in [joined.permissions(), joined.without_list()] {
                        let case = || format!("{own:?} {above:?} {joined:?} {person:?} {want}");
                        assert!(!allows(&shown, person, want) || source, "{}", case());
                    }
                    answers += u32::from(source);
                    less += u32::from(source && !allows(&joined.permissions(), person, want));
                }
            }
        }
        // Directories that nobody would make hinder a few more than they have to.
        assert!(less < answers / 5, "{less} of {answers}");
    }

    #[test]
    fn everybody_is_allowed_what_the_source_allows_where_one_list_can_say_it() {
        use super::list::{GROUP, USER};
        let (alice, bob, root) = (1, 2, 0);
        let (alices, models, other) = (1, 2, 3);
        let top = || plain(root, root, 0o755);
        let cases: [(Permissions, Vec<Permissions>); 14] = [
            // Nothing above that hinders.
            (plain(alice, alices, 0o640), vec![top()]),
            (
                plain(alice, alices, 0o604),
                vec![top(), plain(bob, models, 0o711)],
            ),
            (
                listed(alice, alices, 0o670, 4, &[(USER, bob, 0)]),
                vec![top()],
            ),
            // A home nobody else may enter.
            (
                plain(alice, alices, 0o755),
                vec![plain(alice, alices, 0o700), top()],
            ),
            (
                plain(root, root, 0o755),
                vec![plain(alice, alices, 0o700), top()],
            ),
            (
                plain(bob, other, 0o755),
                vec![plain(alice, alices, 0o700), top()],
            ),
            // A directory of a group.
            (
                plain(root, root, 0o755),
                vec![plain(root, models, 0o750), top()],
            ),
            (
                plain(bob, models, 0o750),
                vec![plain(root, models, 0o750), top()],
            ),
            (
                plain(bob, other, 0o755),
                vec![plain(root, models, 0o750), top()],
            ),
            // A group that is kept out.
            (
                plain(alice, alices, 0o755),
                vec![plain(root, models, 0o705), top()],
            ),
            // Some who are named.
            (
                plain(root, root, 0o755),
                vec![
                    listed(root, root, 0o750, 0, &[(USER, bob, 1), (GROUP, models, 5)]),
                    top(),
                ],
            ),
            (
                plain(root, root, 0o755),
                vec![listed(root, root, 0o755, 5, &[(USER, bob, 0)]), top()],
            ),
            (
                plain(root, root, 0o755),
                vec![listed(root, root, 0o755, 5, &[(GROUP, other, 0)]), top()],
            ),
            (
                listed(alice, alices, 0o750, 0, &[(USER, bob, 5)]),
                vec![plain(alice, alices, 0o711), top()],
            ),
        ];
        for (own, above) in &cases {
            let shown = rights(own).behind(&hindrances(above)).permissions();
            for person in people() {
                // Permissions mean nothing to root, and nobody can write.
                for want in [1, 4, 5].into_iter().filter(|_| person.uid != root) {
                    assert_eq!(
                        allows(&shown, &person, want),
                        the_source_allows(own, above, &person, want),
                        "{own:?} {above:?}: {shown:?} {person:?} {want}"
                    );
                }
            }
        }
        // What everybody understands has no list.
        let shown = rights(&plain(alice, alices, 0o755))
            .behind(&hindrances(&[plain(alice, alices, 0o700), top()]));
        assert_eq!(shown.permissions(), plain(alice, alices, 0o700));
    }

    #[test]
    fn a_list_that_cannot_be_read_lets_nobody_but_the_owner_in() {
        let whole = listed(1, 1, 0o674, 7, &[(list::USER, 2, 7)]).list.unwrap();
        for len in (0..whole.len()).filter(|len| len % 8 != 4 || *len < 12) {
            let rights = Rights::new(1, 1, 0o674, Some(&whole[..len]));
            assert_eq!(rights.permissions(), plain(1, 1, 0o600), "{len}");
        }
        for byte in 0..4 {
            let mut other_version = whole.clone();
            other_version[byte] ^= 1;
            let rights = Rights::new(1, 1, 0o674, Some(&other_version));
            assert_eq!(rights.permissions(), plain(1, 1, 0o600), "{byte}");
        }
    }

    #[test]
    fn who_has_no_number_is_denied_to_everybody() {
        let denied = listed(1, 1, 0o674, 7, &[(list::USER, list::NO_ID, 0)]);
        assert!(!names_all(denied.list.as_deref().unwrap()));
        let list = rights(&denied).list();
        assert!(names_all(&list));
        let shown = Permissions {
            list: Some(list),
            ..denied
        };
        for person in people().iter().filter(|person| person.uid != 1) {
            assert!((1..=ALL).all(|want| !allows(&shown, person, want)));
        }
    }
}
