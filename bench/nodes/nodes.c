// SPDX-License-Identifier: GPL-2.0
/*
 * Bare device nodes, to know what of a partition's memory is its node's.
 */
#include <linux/cdev.h>
#include <linux/device.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/slab.h>

static unsigned int count = 1;
module_param(count, uint, 0444);
MODULE_PARM_DESC(count, "How many");

static dev_t devt;
static struct cdev cdev;
static struct class *class;

static const struct file_operations nodes_fops = {
	.owner	= THIS_MODULE,
};

static char *nodes_devnode(const struct device *dev, umode_t *mode)
{
	return kasprintf(GFP_KERNEL, "nodes/%u/%u", MINOR(dev->devt) / 4, MINOR(dev->devt) % 4);
}

static void nodes_release(struct device *dev)
{
	kfree(dev);
}

/* As device_create(), without power management, which a node needs as little. */
static int nodes_add(unsigned int number)
{
	struct device *dev = kzalloc(sizeof(*dev), GFP_KERNEL);
	int ret;

	if (!dev)
		return -ENOMEM;
	device_initialize(dev);
	dev->class = class;
	dev->devt = devt + number;
	dev->release = nodes_release;
	device_set_pm_not_required(dev);
	ret = dev_set_name(dev, "nodes-%u", number);
	if (!ret)
		ret = device_add(dev);
	if (ret)
		put_device(dev);
	return ret;
}

static void nodes_remove(unsigned int made)
{
	while (made--)
		device_destroy(class, devt + made);
	class_destroy(class);
	cdev_del(&cdev);
	unregister_chrdev_region(devt, count);
}

static int __init nodes_init(void)
{
	unsigned int i;
	int ret;

	ret = alloc_chrdev_region(&devt, 0, count, "nodes");
	if (ret)
		return ret;
	cdev_init(&cdev, &nodes_fops);
	ret = cdev_add(&cdev, devt, count);
	if (ret) {
		unregister_chrdev_region(devt, count);
		return ret;
	}
	class = class_create("nodes");
	if (IS_ERR(class)) {
		cdev_del(&cdev);
		unregister_chrdev_region(devt, count);
		return PTR_ERR(class);
	}
	class->devnode = nodes_devnode;
	for (i = 0; i < count; i++) {
		ret = nodes_add(i);
		if (ret) {
			nodes_remove(i);
			return ret;
		}
	}
	return 0;
}
module_init(nodes_init);

static void __exit nodes_exit(void)
{
	nodes_remove(count);
}
module_exit(nodes_exit);

MODULE_DESCRIPTION("Bare device nodes, for comparison");
MODULE_LICENSE("GPL");
