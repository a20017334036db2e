//! Trees: whatever is taken is safe to restore, and writing it again loses nothing.

use strongroom_repo::Tree;
use strongroom_repo::node::is_safe_name;
use strongroom_repo::tree::REFUSED_LIMIT;

pub(crate) fn tree(data: &[u8]) -> bool {
    let Ok(tree) = Tree::decode(data) else {
        return false;
    };
    for node in &tree.nodes {
        assert!(is_safe_name(&node.name), "an unsafe name was taken");
        assert_eq!(tree.find(&node.name), Some(node));
    }
    assert!(tree.nodes.is_sorted_by(|a, b| a.name < b.name));
    assert!(tree.refused.len() <= REFUSED_LIMIT);
    let encoded = tree.encode();
    assert_eq!(encoded.is_ok(), tree.refused.is_empty());
    if let Ok(encoded) = encoded {
        let again = Tree::decode(&encoded);
        assert_eq!(again.as_ref(), Ok(&tree));
        assert_eq!(again.and_then(|again| again.encode()), Ok(encoded));
    }
    true
}
